"""ONNX files read with care: bounded, checked, and with no errors but our own.

read_model    path -> ModelProto
sealed        ModelProto -> the bytes of a file of ours
"""

from __future__ import annotations

import os
from typing import Any

from ...errors import AlgebraicError, DataError
from ...extras import required
from ...files import limits, read_bytes
from .outside import gathered
from .tables.runtime import OWN
from .writing import require_inside, require_whole

#: The domain of ONNX Runtime's operators.
_RUNTIME = "com.microsoft"


def read_model(path: str | os.PathLike[str]) -> Any:
    """The model in a file.

    Args:
        path: the file.

    Raises:
        MissingExtraError: if the extra "onnx" is not installed.
        DataError: if the file is missing, damaged, too large, no ONNX model, or keeps numbers outside
            its folder.
    """
    onnx = required("onnx", "onnx")
    content = read_bytes(path, limit=limits.ONNX, expected="an .onnx file")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the parser raises errors of many classes
        raise no_model(error, path) from error
    require_whole(content, model, path)
    gathered(model, path)
    require_inside(model, path)
    # ONNX Runtime takes values whose rank is not said, the checker does not: it is shown any rank
    silent = [
        value.type.tensor_type
        for value in (*model.graph.input, *model.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    foreign = [node for node in model.graph.node if _is_foreign(onnx, model, node)]
    try:
        for kind in silent:
            kind.shape.SetInParent()
        for node in foreign:
            node.domain = _RUNTIME
        onnx.checker.check_model(model)
        for node in foreign:
            node.domain = ""
        for kind in silent:
            kind.ClearField("shape")
    except AlgebraicError:
        raise
    except Exception as error:  # so does the checker
        raise no_model(error, path) from error
    return model


def _is_foreign(onnx: Any, model: Any, node: Any) -> bool:
    """Whether a node is of ONNX Runtime's own, in ONNX's domain: it writes some there, the checker knows none."""
    if node.domain or node.op_type not in OWN or all(o.domain != _RUNTIME for o in model.opset_import):
        return False
    version = next((o.version for o in model.opset_import if not o.domain), 1)
    return not onnx.defs.has(node.op_type, max_inclusive_version=version)


def no_model(error: Exception, path: object) -> DataError:
    """That a file is no model, and the first line of the reason."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(f"not an ONNX model ({reason})", where=path)


def sealed(model: Any) -> bytes:
    """The bytes of a file."""
    return model.SerializeToString(deterministic=True)
