"""What else makes a trained network predict faster: what a fair comparison has to run beside ours.

    eager     the module as it is
    frozen    torch.compile with its weights frozen (needs a C++ compiler)
    onnx      ONNX Runtime on torch's own export (the extra "onnx")
    predictor the function of that name for a module and a batch
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import chosen
from ...ir.onnx.writing import save_onnx, session

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
    with torch.no_grad():
        predict = ENGINES[chosen("engine", engine, ENGINES)](model, batch)
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

    with config.patch(freezing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model, dynamic=False)
        predict = _eager(compiled, batch)  # pyright: ignore[reportArgumentType]
        predict()
    return predict


def _onnx(model: nn.Module, batch: Tensor) -> Predictor:
    with tempfile.TemporaryDirectory() as folder:
        ready = session(save_onnx(model, batch, Path(folder, "model.onnx")), cuda=batch.is_cuda)
    given = {ready.get_inputs()[0].name: batch.cpu().numpy()}
    return lambda: ready.run(None, given)


ENGINES: dict[str, Callable[[nn.Module, Tensor], Predictor]] = {"eager": _eager, "frozen": _frozen, "onnx": _onnx}
