"""From a torch model to a ``Graph``.

``torch.export`` runs the model once on fake tensors and records every ATen CALL, so that a module used twice appears
twice, Python control flow is gone, and functional calls count like modules.

    trace        model -> Graph: regions inlined, in-place calls made functional, constants folded
    state        a buffer that forward writes is an input, and its new value an output
"""

from __future__ import annotations

import bisect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from ..errors import TraceError, TrainingModeError
from .batch_sizes import allowed
from .dynamic_shapes import image_sizes
from .exporting import any_size, export
from .graph import Call, Graph, Ref, mapped, needed
from .inlining import inlined
from .inplace import functional, is_identity, mutates, require_sharing_said
from .interpreter import interpret
from .nodes import calls_of, refs, shape_of
from .paths import noted
from .unwritten import filled, uncopied


@dataclass(frozen=True, eq=False)
class _Pure:
    """A program without writes: its calls, its outputs, and the new value of everything that it would write."""

    program: ExportedProgram
    calls: Sequence[Call]
    outputs: tuple[Any, ...]
    written: Mapping[str, Any]


def trace(model: torch.nn.Module | ExportedProgram, example: Any = None, *, dynamic_shapes: Any = None) -> Graph:
    """The graph of ATen calls of a model in evaluation mode.

    Args:
        model: a module, or a program that ``torch.export`` made (then ``example`` is not needed).
        example: an input tensor (N, *in_shape), or a tuple of input tensors.
        dynamic_shapes: other axes that stay free, as ``torch.export`` takes them.

    Returns:
        The graph, in-place calls replaced by functional ones, with a free batch axis where the model allows one.

    Raises:
        TrainingModeError: if the model or a part of it is in training mode.
        TraceError: if ``torch.export`` cannot take the model; the message carries its reason and the line.  If it does
            something that a graph cannot say.  Or in ``torch.inference_mode()``, which forbids gradients.
        ShapeError: if the example is no tensor and no tuple of tensors, or has no sample; or if the model does not
            take the sizes that ``dynamic_shapes`` says.

    >>> graph = trace(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten()).eval(), torch.zeros(1, 1, 8, 8))
    >>> [call.op for call in graph.calls], graph.single()
    (['conv2d', 'flatten'], ((1, 8, 8), (72,)))
    """
    if torch.is_inference_mode_enabled():
        expected = "torch.no_grad(), or nothing"
        raise TraceError("torch.inference_mode() keeps maps from being derived", expected=expected, where="trace")
    given = isinstance(model, ExportedProgram)
    program = model if given else export(model, example, dynamic_shapes=dynamic_shapes)
    _require_readable(program)
    graph = _graph(program, _pure(inlined(program)))
    return _with_places(graph) if given else graph


#: What a program may be given, and what it may return, in the words of ``torch.export``.
_GIVEN = ("USER_INPUT", "PARAMETER", "BUFFER", "CONSTANT_TENSOR")
_RETURNED = ("USER_OUTPUT", "BUFFER_MUTATION", "USER_INPUT_MUTATION")


def _require_readable(program: ExportedProgram) -> None:
    """Refuse a program that is given or returns what a graph cannot say: an effect, an object, a loss.

    Raises:
        TraceError: names what it is.
    """
    signature = program.graph_signature
    for specs, known in ((signature.input_specs, _GIVEN), (signature.output_specs, _RETURNED)):
        for spec in specs:
            if spec.kind.name not in known:
                what = f"the model has a {spec.kind.name.lower().replace('_', ' ')}, which is no value of a network"
                where = spec.target or getattr(spec.arg, "name", "")
                raise TraceError(what, expected="tensors and numbers", where=where)


def _mapped(program: ExportedProgram) -> bool:
    """Whether it holds the marks of ``torch.vmap``: between them calls are about one sample, and mean others."""
    return any(getattr(node.target, "__module__", "").startswith("torch._functorch") for node in program.graph.nodes)


def _pure(program: ExportedProgram) -> _Pure:
    """The calls of a program, every in-place one replaced."""
    signature = program.graph_signature
    values = {n.name: n.meta["val"] for n in program.graph.nodes if isinstance(n.meta.get("val"), Tensor)}
    owned = [*signature.inputs_to_buffers, *(name for name in signature.user_inputs if name in values)]
    given = {n.name: values[n.name].dtype for n in program.graph.find_nodes(op="placeholder") if n.name in values}
    calls, (outputs, written) = calls_of(program), _outputs(program)
    found = None if _mapped(program) else functional(calls, outputs, owned, given)
    if found is not None:
        calls, outputs, more = found
        return _Pure(program, calls, outputs, {**written, **more})
    require_sharing_said(program)
    try:
        with any_size():
            program = _without_dropouts(program).run_decompositions({})
    except Exception as error:  # torch raises of many kinds, its own among them
        what = f"torch.export cannot write the model's calls in place as functional ones: {error}"
        raise TraceError(what, where="run_decompositions") from error
    _require_readable(program)
    calls = calls_of(program)
    for call in calls:
        if mutates(call.target):
            raise TraceError(f"{call.op} overwrites what other values share", expected="a new value", where=call.where)
    return _Pure(program, calls, *_outputs(program))


def _outputs(program: ExportedProgram) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a program returns to its user, and the new values of what it is given, by the names of these inputs."""
    signature = program.graph_signature
    names = {path: name for name, path in signature.inputs_to_buffers.items()}
    returned, written = [], {}
    last = list(program.graph.nodes)[-1]
    for spec, value in zip(signature.output_specs, cast("Sequence[Any]", last.args[0]), strict=True):
        if spec.kind.name == "USER_OUTPUT":
            returned.append(refs(value, {}))
        else:
            written[names.get(str(spec.target), str(spec.target))] = refs(value, {})
    return tuple(returned), written


def _without_dropouts(program: ExportedProgram) -> ExportedProgram:
    """The same program: a dropout in evaluation mode shares the memory of its argument, which torch would forget."""
    for node in program.graph.find_nodes(op="call_function", target=torch.ops.aten.dropout.default):
        if is_identity("dropout", node.args) and all(user.op != "output" for user in node.users):
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    return program


def _graph(program: ExportedProgram, pure: _Pure) -> Graph:
    signature = pure.program.graph_signature
    values = {**pure.program.state_dict, **pure.program.constants}
    lifted = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    state = {name: lifted[name] for name in pure.written if name in lifted}
    _require_own_memory(state, lifted, values)
    constants = {name: values[target].detach() for name, target in lifted.items() if name not in state}
    outputs = (*pure.outputs, *pure.written.values())
    parameters = {name: bool(values[path].requires_grad) for name, path in signature.inputs_to_parameters.items()}
    calls, outputs = _folded([*map(filled, pure.calls)], outputs, constants, parameters)
    _require_evaluation(calls, constants)
    calls, used = needed(calls, [out.name for out in outputs if isinstance(out, Ref)])
    users = [n for n in pure.program.graph.find_nodes(op="placeholder") if n.name in signature.user_inputs]
    shapes = tuple(map(shape_of, users)) + tuple(tuple(values[path].shape) for path in state.values())
    dtypes = [node.meta["val"].dtype for node in users if isinstance(node.meta.get("val"), Tensor)]
    dtypes += [values[path].dtype for path in state.values()]
    examples = [x for x in pytree.tree_leaves(program.example_inputs) if isinstance(x, Tensor)]
    examples += [values[path] for path in state.values()]
    sizes = allowed(program)
    firsts = [shape[0] for shape in shapes[: len(users)] if shape]
    graph = Graph(
        inputs=(*(node.name for node in users), *state),
        input_shapes=shapes,
        calls=calls,
        constants={name: value for name, value in constants.items() if name in used},
        outputs=outputs,
        in_spec=program.call_spec.in_spec,
        out_spec=program.call_spec.out_spec,
        paths={name: path for name, path in lifted.items() if name in used and name not in state},
        batch=None if None in firsts or not firsts else firsts[0],
        dtype=_own_dtype(dtypes, constants.values()),
        input_dtypes=tuple(dtypes),
        example_shapes=tuple(tuple(x.shape) for x in examples),
        sizes=image_sizes(program),
        batch_sizes=(sizes.start, None if sizes.stop == sys.maxsize else sizes[-1]),
        batch_step=sizes.step,
        state=state,
        writes=tuple(pure.written),
        initial={name: values[path].detach() for name, path in state.items()},
        parameters={name: trained for name, trained in parameters.items() if name in used},
        note=noted(program),
    )
    _require_one_dtype(calls, graph.dtypes())
    return uncopied(graph)


def _with_places(graph: Graph) -> Graph:
    """The graph of a program, speaking of no batch without the samples that its constants name, as in ``x[p]``.

    torch.export does not ask what numbers a constant holds; nor is there a model that it could be compared with.
    """
    known = [name for name, x in graph.constants.items() if isinstance(x, Tensor) and x.dtype == torch.int64 and x.ndim]
    dependent = graph.dependent()
    named = any(call.name in dependent and not {*call.refs()}.isdisjoint(known) for call in graph.calls)
    own = next((shape[0] for shape in graph.example_shapes if shape), 0)
    if graph.batch is not None or not named or not graph.takes(own):
        return graph
    fewer = range(graph.least, own, graph.batch_step)
    place = bisect.bisect_left(fewer, True, key=lambda batch: _runs(graph, batch))
    return replace(graph, batch_sizes=((*fewer, own)[place], graph.batch_sizes[1]))


def _runs(graph: Graph, batch: int) -> bool:
    """Whether torch makes all calls of a graph for a batch of this size."""
    shapes = zip(graph.input_shapes, graph.example_shapes, graph.input_dtypes, strict=True)
    sizes = [([batch if n is None and not axis else n or own[axis] for axis, n in enumerate(shape)], dtype)
             for shape, own, dtype in shapes]  # fmt: skip
    inputs = [torch.zeros(size, dtype=dtype, device=graph.device) for size, dtype in sizes]
    try:
        with torch.no_grad():
            interpret(graph, dict(zip(graph.inputs, inputs, strict=True)))
    except Exception:  # torch's refusals are of many classes
        return False
    return True


def _require_own_memory(state: Mapping[str, str], lifted: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Refuse a buffer that is written and shares its memory with another: nobody would see what is written."""
    places: dict[int, list[str]] = {}
    for name, path in lifted.items():
        places.setdefault(values[path].untyped_storage()._cdata, []).append(name)
    for names in places.values():
        if len(names) > 1 and any(name in state for name in names):
            what = "forward writes a buffer that shares its memory with another"
            raise TraceError(what, expected="memory of its own", where=", ".join(lifted[name] for name in names))


#: Calls that compute another function in training, and the place of the argument that says so.
_TRAINING_FLAG = {"batch_norm": 5, "dropout": 2, "feature_dropout": 2, "alpha_dropout": 2}


def _require_evaluation(calls: Sequence[Call], constants: Mapping[str, Any]) -> None:
    """Refuse a program that was exported from a model in training mode."""
    for call in calls:
        if call.args[_TRAINING_FLAG.get(call.op, len(call.args)) :][:1] == (True,):
            if call.op == "batch_norm" and call.args[3] is None:
                continue  # it keeps no statistics, so these are what it computes in either mode
            what = f"the program was exported in training mode: its {call.op} computes no fixed function"
            raise TrainingModeError(what, expected="an export of model.eval()", where=call.where)


#: Calls that torch makes on numbers of one dtype alone, and says so only when it makes them.
_ONE_DTYPE = ("linear", "addmm", "mm", "bmm", "matmul", "conv1d", "conv2d", "conv3d", "convolution")


def _require_one_dtype(calls: Sequence[Call], dtypes: Mapping[str, torch.dtype]) -> None:
    """Refuse a call that torch would not make, because the example is of another precision than the model."""
    for call in calls:
        met = {dtypes[name] for name in call.refs() if name in dtypes} if call.op in _ONE_DTYPE else {}
        if len(met) > 1:
            got = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in met))
            raise TraceError(f"torch cannot run the model's {call.op}", expected="one dtype", got=got, where=call.where)


def _own_dtype(inputs: Sequence[torch.dtype], constants: Iterable[Any]) -> torch.dtype:
    """The dtype of a network's numbers: the first floating one of an input, else of a constant."""
    dtypes = [*inputs, *(value.dtype for value in constants if isinstance(value, Tensor))]
    return next((dtype for dtype in dtypes if dtype.is_floating_point), torch.get_default_dtype())


def _folded(
    calls: Sequence[Call], outputs: tuple[Any, ...], constants: dict[str, Any], parameters: dict[str, bool]
) -> tuple[list[Call], tuple[Any, ...]]:
    """What remains when calls on constants alone are carried out, into ``constants``, as torch does it.

    A number that is read out of a constant stands where it is used.  What is made of parameters is one.
    """
    remaining = []
    for call in calls:
        random = torch.Tag.nondeterministic_seeded in getattr(call.target, "tags", ())
        if random or not all(name in constants for name in call.refs()):
            remaining.append(call)
            continue
        args, kwargs = call.resolved(constants)
        with torch.no_grad():
            value = constants[call.name] = call.target(*args, **kwargs)
        made_of = [parameters[name] for name in call.refs() if name in parameters]
        if made_of and isinstance(value, Tensor) and value.is_floating_point():
            parameters[call.name] = any(made_of)
    numbers = {name: x for name, x in constants.items() if not isinstance(x, Tensor | tuple | list | None)}
    for name in numbers:
        del constants[name]

    def known(leaf: Any) -> Any:
        return numbers.get(leaf.name, leaf) if isinstance(leaf, Ref) else leaf

    def spelled(call: Call) -> Call:
        args, kwargs = mapped(known, (call.args, dict(call.kwargs)))
        return replace(call, args=args, kwargs=kwargs)

    return [spelled(c) if any(n in numbers for n in c.refs()) else c for c in remaining], tuple(map(known, outputs))
