"""From a torch model to a program of ``torch.export`` with a free batch axis.

    export      model -> ExportedProgram, what ``.pt2`` files hold
    free batch  the batch axis stays symbolic where the program was found to be the model at other sizes too

The model is exported at the example's own size, two samples in the place of one, as if that were any size; then the
program is compared with the model (agreement.py), and what it says of batch sizes is cut to what was found.  A model
that asks whether it is exported, or does otherwise then, is exported as it runs; where torch cannot take that, what it
exports is compared by numbers.
"""

from __future__ import annotations

import bisect
import contextlib
import inspect
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config
from torch.nn.parameter import is_lazy

from ..errors import AlgebraicError, ShapeError, TraceError, TrainingModeError
from .agreement import Comparison, Memory
from .alike import alike
from .batch_sizes import Sizes, allowed, narrow
from .choices import carrying, choices_of
from .dynamic_shapes import binding, per_argument, violated
from .histories import Unfollowed
from .later_torch import as_later
from .paths import Answer, Path, as_it_runs, asking, note
from .quick_shapes import quick_shapes
from .readings import readable, wants
from .refusal import quiet, refusal

#: Batch sizes at which a program is compared with the model, beside the example's; one more where sizes are numbers.
_SIZES, _MORE = (1, 2), (3,)


class _OtherPathError(TraceError):
    """The model does otherwise while it is exported, or asks for it."""


def any_size() -> Any:
    """While this holds, torch takes a length of 1 for one like any other; without effect in a torch that cannot."""
    known = {"backed_size_oblivious": True} if hasattr(_config, "backed_size_oblivious") else {}
    return _config.patch(known)  # pyright: ignore[reportAttributeAccessIssue]


def export(
    model: torch.nn.Module,
    example: Any,
    *,
    training: bool = False,
    signatures: Sequence[str] = (),
    dynamic_shapes: Any = None,
) -> ExportedProgram:
    """The program of a model with a free batch axis where the model allows one; it can be saved as ``.pt2``.

    Args:
        model: a module.
        example: an input tensor (N, *in_shape), or a tuple of input tensors.
        training: take the model in whatever mode it is, to learn which calls training makes.
        signatures: dotted paths of modules; the program then says what each call of them was given and returned.
        dynamic_shapes: other axes that stay free, as ``torch.export`` takes them.

    Raises:
        TrainingModeError: if the model or a part of it is in training mode, and this was not asked for.
        TraceError: if ``torch.export`` cannot take the model, the model does not do the same at every call, or
            its weights or the example have no numbers.
        ShapeError: if the example is no tensor and no tuple of tensors, or has no sample; or if the model does not
            take the sizes that ``dynamic_shapes`` says.
    """
    arguments = _arguments(model, example, training=training)
    memory = Memory(model)
    if training or signatures:
        return _program(model, arguments, memory, signatures, dynamic_shapes, None)
    for path in (Path.ASKING, Path.AS_IT_RUNS, Path.PLAIN):
        with contextlib.suppress(_OtherPathError if path is not Path.AS_IT_RUNS else AlgebraicError):
            return _program(model, arguments, memory, signatures, dynamic_shapes, path)
    program = _program(model, arguments, memory, signatures, dynamic_shapes, Path.AS_EXPORTED)
    words = alike(model, program, arguments, memory)
    if words is None:
        what = "the model takes another path while it is exported, and its numbers are others there"
        raise TraceError(what, expected="one function", where="torch.compiler.is_exporting()")
    note(program, words)
    return program


def _program(
    model: torch.nn.Module,
    arguments: tuple[Tensor, ...],
    memory: Memory,
    signatures: Sequence[str],
    dynamic_shapes: Any,
    path: Path | None,
) -> ExportedProgram:
    """The program of one path of a model; None is any path, not compared with the model."""
    failure, one_size = Exception("not tried"), False
    for attempt, free in _attempts(arguments):
        if free and one_size:
            continue
        try:
            program = _followed(model, attempt, dynamic_shapes, signatures, path, free=free)
        except _OtherPathError:
            raise
        except AlgebraicError as error:
            if not free:
                raise
            failure = error  # a module of our own that is bound to its batch says so
            continue
        except Exception as error:  # export raises errors of a dozen unrelated classes
            failure = error
            continue
        finally:
            memory.restore()
        if path is None or _is_the_model(program, model, arguments, memory, free, dynamic_shapes, path):
            carrying(program, choices_of(model))
            program.example_inputs = (tuple(x.detach() for x in arguments), {})
            return program
        if free and attempt is not arguments and dynamic_shapes is None:
            one_size = _of_one_size(model, program, arguments, memory)
    instead = violated(failure)
    if instead is not None:
        what = "the model does not take every size that dynamic_shapes says"
        raise ShapeError(what, expected=instead, where=binding(model, arguments)) from failure
    raise refusal(failure, arguments) from failure


def _seeing(path: Path | None, model: torch.nn.Module) -> contextlib.AbstractContextManager[Answer | None]:
    """What an export on a path lets the model see of it."""
    if path is Path.ASKING:
        return asking(model)
    return as_it_runs(model) if path is Path.AS_IT_RUNS else contextlib.nullcontext()


def _arguments(model: Any, example: Any, *, training: bool) -> tuple[Tensor, ...]:
    """The example as a tuple of tensors, of a model that can be exported."""
    if not isinstance(model, torch.nn.Module):
        expected = "a torch.nn.Module or an exported program"
        raise TraceError("there is no model to trace", expected=expected, got=type(model).__name__, where="model")
    _require_unpacked(model)
    for name, module in model.named_modules():
        where = f"module {name!r}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            what = "torch.jit has compiled the model: give the module before torch.jit"
            raise TraceError(what, expected="the torch.nn.Module itself", got=type(module).__name__, where=where)
        if module.training and not training:
            what = "the model is in training mode"
            raise TrainingModeError(what, expected="model.eval()", got="training=True", where=where)
        _require_numbers(module, where)
    arguments = tuple(example) if isinstance(example, tuple | list) else (example,)
    if not arguments or not all(isinstance(argument, Tensor) for argument in arguments):
        got = type(example).__name__
        raise ShapeError("the example must be a tensor or a tuple of tensors", got=got, where="example")
    if any(argument.is_meta for argument in arguments):
        raise TraceError("the example has no numbers", expected="a tensor on a device", got="meta", where="example")
    if any(argument.ndim and not len(argument) for argument in arguments):
        shapes = [tuple(argument.shape) for argument in arguments]
        raise ShapeError("the example has no sample", expected="at least one", got=shapes, where="trace")
    return arguments


def _require_unpacked(model: torch.nn.Module) -> None:
    """Integers that torch's eager quantisation packed are no tensors, and torch.export knows no call on them."""
    for name, module in model.named_modules():
        compiled = isinstance(module, torch.jit.ScriptModule)  # of which the refusal has words of its own
        if not compiled and any(isinstance(value, torch.ScriptObject) for value in vars(module).values()):
            what = "torch's quantisation has packed the weights, and torch.export takes no such module"
            expected = "the model before quantize_dynamic or convert"
            where = f"module {name.removesuffix('._packed_params')!r}"
            raise TraceError(what, expected=expected, got=type(module).__name__, where=where)


def _require_numbers(module: torch.nn.Module, where: str) -> None:
    """Weights without numbers make no function: those on the device "meta", those of a lazy module that never ran."""
    for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        if is_lazy(value):
            expected = "a run of the model, which gives a lazy module its weights"
            raise TraceError(f"{name} has no shape yet", expected=expected, got=type(value).__name__, where=where)
        if value.is_meta:
            raise TraceError(f"{name} has no numbers", expected="a tensor on a device", got="meta", where=where)


def _attempts(arguments: tuple[Tensor, ...]) -> Iterator[tuple[tuple[Tensor, ...], bool]]:
    """Examples and whether the batch is to stay free: one that torch keeps free, at its own size, as it is.

    Of one sample torch takes for true on its way that it is one; of two it does not.
    """
    if any(x.ndim and len(x) == 1 for x in arguments):
        yield tuple(torch.cat([x, x]) if x.ndim and len(x) == 1 else x for x in arguments), True
    yield arguments, True
    yield arguments, False


def _followed(
    model: torch.nn.Module,
    attempt: tuple[Tensor, ...],
    dynamic_shapes: Any,
    signatures: Sequence[str],
    path: Path | None,
    *,
    free: bool,
) -> ExportedProgram:
    """The program of one path; where the model reads numbers out of its weights, with these numbers.

    Raises:
        TraceError: if it reads numbers, and writes a weight: they may be others at the next call.
        _OtherPathError: if it asks whether it is exported, and that is to be known.
    """
    with _seeing(path, model) as answer:
        try:
            return _exported(model, attempt, dynamic_shapes, signatures, free=free)
        except Exception as error:
            if answer is not None and answer.asked:
                raise _OtherPathError("the model asks whether it is exported", where="torch.compiler") from error
            if not wants(error):
                raise
        with readable(model) as readings:
            program = _exported(model, attempt, dynamic_shapes, signatures, free=free)
    if readings.read and (readings.written or program.graph_signature.buffers_to_mutate):
        what = "the model reads numbers out of its weights, and writes there, so that they may be others"
        raise TraceError(what, expected="weights that stay as they are", where="model.forward")
    return program


def _exported(
    model: torch.nn.Module, attempt: tuple[Tensor, ...], dynamic_shapes: Any, signatures: Sequence[str], *, free: bool
) -> ExportedProgram:
    attempt = tuple(x.detach() for x in attempt)  # torch marks a tensor whose axes are to be free, for ever
    axes = _axes(model, attempt, dynamic_shapes, free=free)
    with torch.enable_grad(), quiet(), any_size(), quick_shapes(), as_later(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attribute")  # whether that matters is seen by a comparison
        return torch.export.export(
            model, attempt, dynamic_shapes=axes, preserve_module_call_signature=tuple(signatures)
        )


def _axes(model: torch.nn.Module, attempt: Sequence[Tensor], dynamic_shapes: Any, *, free: bool) -> Any:
    """Which axes stay free: the batch, where that is tried, and those that the user names."""
    if not free and dynamic_shapes is None:
        return None
    axes = per_argument(model, attempt, dynamic_shapes)
    if not free:
        axes = [{i: dim for i, dim in (entry or {}).items() if i} or None for entry in axes]
    kinds = [p.kind for p in inspect.signature(model.forward).parameters.values()]
    return (tuple(axes),) if kinds[:1] == [inspect.Parameter.VAR_POSITIONAL] else tuple(axes)


def _is_the_model(
    program: ExportedProgram,
    model: torch.nn.Module,
    arguments: tuple[Tensor, ...],
    memory: Memory,
    free: bool,
    dynamic_shapes: Any,
    path: Path,
) -> bool:
    """Whether the program does what the model does, for more batch sizes than one where it has a free batch axis.

    Raises:
        TraceError: if a program of the example's size alone is not the model.
        _OtherPathError: if it is the model as that sees an export, and not as it runs.
    """
    sizes = Sizes(program)
    if free and not sizes.batch:
        return False
    try:
        comparison = Comparison(model, program, arguments, memory, exporting=path is Path.AS_EXPORTED)
        same = comparison.same()
        plain = path in (Path.ASKING, Path.PLAIN)
        if same is False and plain and _as_exported(model, program, arguments, memory):
            raise _OtherPathError("the model takes another path while it is exported", where="torch.compiler")
        if free and same:
            own = next(len(x) for x in arguments if x.ndim)
            axes = per_argument(model, arguments, dynamic_shapes)
            asked = any(entry and entry.get(0, Dim.AUTO) is not Dim.AUTO for entry in axes)
            return _generalised(program, sizes, comparison, own, asked=asked)
    except Unfollowed:
        return not free
    if comparison.failure is not None and not free:
        raise refusal(comparison.failure, arguments) from comparison.failure
    if not free and same is False:
        what = "the model does not do the same at every call, or something that torch.export does not see"
        raise TraceError(what, expected="what forward keeps as registered buffers", where="model.forward")
    return not free


def _of_one_size(
    model: torch.nn.Module, program: ExportedProgram, arguments: tuple[Tensor, ...], memory: Memory
) -> bool:
    """Whether a model keeps something for batches of one size, as a detector keeps the anchors of the last image.

    On what it kept for one sample it has no free batch, and of two it keeps something else.
    """
    try:
        comparison = Comparison(model, program, arguments, memory)
        return comparison.keeps(2) and not comparison.keeps(1)
    except Unfollowed:
        return False


def _as_exported(
    model: torch.nn.Module, program: ExportedProgram, arguments: tuple[Tensor, ...], memory: Memory
) -> bool:
    """Whether a program is what the model does where it sees an export."""
    return Comparison(model, program, arguments, memory, exporting=True).same() is True


def _generalised(program: ExportedProgram, sizes: Sizes, comparison: Comparison, own: int, *, asked: bool) -> bool:
    """Whether a program is the model for more batch sizes than that of the example; says in it for which.

    Raises:
        Unfollowed: if that cannot be said without numbers.
    """
    numbers = any(sizes.text(node.meta.get("val")) for node in program.graph.nodes)
    values = allowed(program, max(own, sizes.own))
    if values.start == 2 and values.step == 1 and not asked:
        values = range(1, values.stop)  # torch is wary of 1, where strides say less; so the model is looked at there
    if own not in values:
        return False
    looked = (*_SIZES, *(_MORE if numbers else ()), own + values.step if values.step > 1 else own)
    for n in looked:
        if n != own and n in values and not comparison.same(n):
            values = range(n + values.step, values.stop, values.step) if n < own else values[: values.index(n)]
    values = _looked_at(values, comparison, own, looked)
    narrow(program, values)
    return len(values[:2]) > 1


def _looked_at(values: range, comparison: Comparison, own: int, looked: Sequence[int]) -> range:
    """The batch sizes that are left, from the least on at which the program is the model.

    A model that takes the fourth sample of a batch is refused at one, two and three; that it is not at any more must be
    seen as well.
    """
    if values[0] not in (*looked, own):
        fewer = values[: values.index(own)]
        values = values[bisect.bisect_left(fewer, True, key=lambda n: bool(comparison.same(n))) :]
    more = own + values.step
    if values[0] == own and more in values and more not in looked and not comparison.same(more):
        return values[:1]
    return values
