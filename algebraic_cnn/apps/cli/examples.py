"""Examples of every command, as its ``--help`` shows them below the options."""

from __future__ import annotations

_LINES = {
    "demo": (
        "demo --epochs 3",
        "demo --data mnist --data-root FOLDER --out mnist-demo",
    ),
    "collapse": (
        "collapse model.pt2 --out fast.pt2",
        "collapse model.pt2 --out fast.pt2 --certificate why.json --picture regions.svg --onnx fast.onnx",
        "collapse model.pt2 --out small.pt2 --prefer size",
        "collapse linear.pt2 --out fast.pt2 --map W_and_b.npz --dtype float64",
        "collapse detector.onnx --out fast.onnx --shape x:1x3x320x320",
    ),
    "certify": (
        "certify model.pt2 fast.pt2",
        "certify model.onnx fast.onnx --level modular --save why.json",
        "certify model.pt2 fast.pt2 --check why.json --json",
    ),
    "recheck": (
        "certify linear.pt2 fast.pt2 --cert why.cert",
        "recheck why.cert",
    ),
    "toeplitz": (
        "toeplitz 1x3x3 --kernel 2",
        "toeplitz 1x3x3 --kernel 2 --latex",
        "toeplitz 3x28x28 --kernel 5x3 --out-channels 4 --stride 2 --padding 1 --out matrix.npz --picture matrix.png",
    ),
    "expand": (
        "expand 3",
        "expand 5 --skips 0-2,1-4 --part W --one-strength --picture words.svg",
    ),
    "dimension": (
        "dimension 3x3x2 --strides 2x2x1 --skips 0-3",
        "dimension 3x3 --channels 1x4x1 --axes 2 --bias --power 2",
    ),
    "train": (
        "train --epochs 10 --skips linear",
        "train --model resnet34 --data mnist --data-root FOLDER --skips adaptive --fade layer3,layer4",
    ),
    "reproduce": (
        "reproduce figure1 --data digits",
        "reproduce figure3 --preset medium --model resnet34-narrow --data-root FOLDER",
        "reproduce all --preset paper --data-root FOLDER --device cuda --jobs 4",
    ),
    "bench": ("bench toeplitz --cases ab", "bench models --models resnet18,repvgg_a0 --engines eager,onnx"),
    "bench patterns": ("bench patterns --patterns 1,2,3", "bench patterns --json"),
    "bench collapse": ("bench collapse --batches 1,8,128 --seconds 5",),
    "bench models": (
        "bench models --models resnet18,repvgg_a0 --engines eager,onnx",
        "bench models --records mine.jsonl --threads 2 --no-measure",
    ),
    "bench toeplitz": ("bench toeplitz --cases ab", "bench toeplitz --seconds 10 --json"),
    "bench training": ("bench training --seconds 60",),
    "bench compile": ("bench compile --networks repvgg_a0,resnet10t", "bench compile --records mine.jsonl --json"),
    "bench certify": ("bench certify --networks 2 --repeats 1 --depths 4,8",),
}

#: Of every command by its name, the text below its options.
EXAMPLES = {
    name: "\n\n".join(("Examples:", *(f"algebraic-cnn {line}" for line in lines))) for name, lines in _LINES.items()
}
