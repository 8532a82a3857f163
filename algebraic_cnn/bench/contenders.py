"""What else makes a trained network predict faster: what a fair comparison has to run beside ours.

    eager     the module as it is
    frozen    torch.compile with its weights frozen (needs a C++ compiler)
    onnx      ONNX Runtime on torch's own export (the extra "onnx")
    predictor the function of that name for a module and a batch
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import MissingExtraError, UnknownNameError

Predictor = Callable[[], object]


def predictor(engine: str, model: nn.Module, batch: Tensor) -> Predictor:
    """A function that predicts that batch by that engine, made ready: compiled, exported, warmed up.

    Args:
        engine: "eager", "frozen" or "onnx".
        model: in evaluation mode.
        batch: the images, shape (N, *image_shape), on the model's device.

    Raises:
        UnknownNameError: if there is no such engine.
        MissingExtraError: if the engine needs an extra that is not installed.

    >>> predictor("eager", nn.Linear(2, 1), torch.zeros(3, 2))().shape
    torch.Size([3, 1])
    """
    if engine not in ENGINES:
        raise UnknownNameError("unknown engine", expected=" | ".join(ENGINES), got=engine)
    with torch.no_grad():
        predict = ENGINES[engine](model, batch)
        predict()
    return predict


def _eager(model: nn.Module, batch: Tensor) -> Predictor:
    def predict() -> object:
        with torch.no_grad():
            scores = model(batch)
        if batch.is_cuda:
            torch.cuda.synchronize()
        return scores

    return predict


def _frozen(model: nn.Module, batch: Tensor) -> Predictor:
    from torch._inductor import config

    torch._dynamo.reset()
    with config.patch(freezing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model)
        predict = _eager(compiled, batch)  # pyright: ignore[reportArgumentType]
        predict()
    return predict


def _onnx(model: nn.Module, batch: Tensor) -> Predictor:
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        hint = 'pip install "algebraic_cnn[onnx]"'
        raise MissingExtraError("ONNX Runtime is not installed", expected=hint) from error
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            program = torch.onnx.export(model, (batch,), dynamo=True, verbose=False)
            path = Path(folder, "model.onnx")
            program.save(path)  # pyright: ignore[reportOptionalMemberAccess]
        finally:
            logging.disable(logging.NOTSET)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        provider = "CUDAExecutionProvider" if batch.is_cuda else "CPUExecutionProvider"
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
    given = {session.get_inputs()[0].name: batch.cpu().numpy()}
    return lambda: session.run(None, given)


ENGINES: dict[str, Callable[[nn.Module, Tensor], Predictor]] = {"eager": _eager, "frozen": _frozen, "onnx": _onnx}
