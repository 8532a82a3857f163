"""From a torch model to a ``Graph``.

``torch.export`` runs the model once on fake tensors and records every ATen CALL, so that a module used twice appears
twice, Python control flow is gone, and functional calls count like modules.

    trace        model -> Graph, in-place calls made functional, constants folded
    export       model -> ExportedProgram, what ``.pt2`` files hold
    free batch   the batch axis stays symbolic wherever the model allows it
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .dynamic_shapes import binding, fixed, image_sizes, per_argument, violated
from .errors import ShapeError, TraceError, TrainingModeError
from .graph import Call, Graph, Ref, Rows, Size, needed
from .inplace import functional, is_identity
from .refusal import line_in, quiet, refusal


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
        TraceError: if ``torch.export`` cannot take the model; the message carries its reason and the line.  Or in
            ``torch.inference_mode()``, which forbids gradients.
        ShapeError: if the example is no tensor and no tuple of tensors, or has no sample; or if the model does not
            take the sizes that ``dynamic_shapes`` says.

    >>> graph = trace(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten()).eval(), torch.zeros(1, 1, 8, 8))
    >>> [call.op for call in graph.calls], graph.single()
    (['conv2d', 'flatten'], ((1, 8, 8), (72,)))
    """
    if torch.is_inference_mode_enabled():
        expected = "torch.no_grad(), or nothing"
        raise TraceError("torch.inference_mode() keeps maps from being derived", expected=expected, where="trace")
    program = model if isinstance(model, ExportedProgram) else export(model, example, dynamic_shapes=dynamic_shapes)
    _require_evaluation(program)
    pure = functional(*_calls(program))
    if pure is None:
        program = _without_dropouts(program).run_decompositions({})
        pure = _calls(program)
    return _graph(program, *pure)


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
        TraceError: if ``torch.export`` cannot take the model.
        ShapeError: if the example is no tensor and no tuple of tensors, or has no sample; or if the model does not
            take the sizes that ``dynamic_shapes`` says.
    """
    if not isinstance(model, torch.nn.Module):
        expected = "a torch.nn.Module or an exported program"
        raise TraceError("there is no model to trace", expected=expected, got=type(model).__name__, where="model")
    for name, module in () if training else model.named_modules():
        if module.training:
            where = f"module {name!r}" if name else "the model"
            raise TrainingModeError(
                "the model is in training mode", expected="model.eval()", got="training=True", where=where
            )
    arguments = tuple(example) if isinstance(example, tuple | list) else (example,)
    if not arguments or not all(isinstance(argument, Tensor) for argument in arguments):
        got = type(example).__name__
        raise ShapeError("the example must be a tensor or a tuple of tensors", got=got, where="example")
    if any(argument.ndim and not len(argument) for argument in arguments):
        shapes = [tuple(argument.shape) for argument in arguments]
        raise ShapeError("the example has no sample", expected="at least one", got=shapes, where="trace")
    # A batch of one would be burnt into the graph: the batch axis can only stay free if it is at least two.
    doubled = tuple(torch.cat([a, a]) if a.ndim and len(a) == 1 else a for a in arguments)
    failure = Exception("not tried")
    for attempt, free in ((doubled, True), (arguments, False)):
        axes = _axes(model, attempt, dynamic_shapes, free=free)
        try:
            with torch.no_grad(), quiet():
                program = torch.export.export(
                    model,
                    attempt,
                    dynamic_shapes=_axes_of(model, axes),
                    preserve_module_call_signature=tuple(signatures),
                )
        except Exception as error:  # export raises errors of a dozen unrelated classes
            failure = error
        else:
            if not free or _keeps_batch_free(program):
                return program
    instead = violated(failure)
    if instead is not None:
        what = "the model does not take every size that dynamic_shapes says"
        raise ShapeError(what, expected=instead, where=binding(model, arguments)) from failure
    raise refusal(failure, arguments) from failure


def _axes(model: torch.nn.Module, attempt: Sequence[Tensor], dynamic_shapes: Any, *, free: bool) -> Any:
    """Which axes stay free: the batch, where that is tried, and those that the user names."""
    if not free and dynamic_shapes is None:
        return None
    axes = per_argument(model, attempt, dynamic_shapes)
    if not free:
        axes = [{i: dim for i, dim in (entry or {}).items() if i} or None for entry in axes]
    return tuple(axes)


#: Calls that compute another function in training, and the place of the argument that says so.
_TRAINING_FLAG = {"batch_norm": 5, "dropout": 2, "feature_dropout": 2, "alpha_dropout": 2}


def _require_evaluation(program: ExportedProgram) -> None:
    """Refuse a program that was exported from a model in training mode."""
    for node in program.graph.nodes:
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "").rstrip("_")
        if node.args[_TRAINING_FLAG.get(name, len(node.args)) :][:1] == (True,):
            what = f"the program was exported in training mode: its {name} computes no fixed function"
            raise TrainingModeError(what, expected="an export of model.eval()", where=_call(node).where)


def _axes_of(model: torch.nn.Module, axes: tuple[Any, ...] | None) -> Any:
    if axes is None:
        return None
    kinds = [p.kind for p in inspect.signature(model.forward).parameters.values()]
    return (axes,) if kinds[:1] == [inspect.Parameter.VAR_POSITIONAL] else axes


def _keeps_batch_free(program: ExportedProgram) -> bool:
    """False for a model that writes its batch size into a shape, such as ``x.view(2, -1)``."""
    nodes = list(program.graph.nodes)
    inputs = [n for n in nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    outputs = [value for value in nodes[-1].args[0] if isinstance(value, torch.fx.Node)]
    firsts = [n for node in inputs + outputs for n in _shape(node)[:1]]
    return all(n is None or isinstance(n, Rows) for n in firsts)


def _without_dropouts(program: ExportedProgram) -> ExportedProgram:
    """The same program: a dropout in evaluation mode shares the memory of its argument, which torch would forget."""
    for node in program.graph.find_nodes(op="call_function", target=torch.ops.aten.dropout.default):
        if is_identity("dropout", node.args) and all(user.op != "output" for user in node.users):
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    return program


def _calls(program: ExportedProgram) -> tuple[list[Call], tuple[Any, ...]]:
    nodes = list(program.graph.nodes)
    return [_call(node) for node in nodes if node.op == "call_function"], _user_outputs(program, nodes[-1])


def _graph(program: ExportedProgram, calls: Sequence[Call], outputs: tuple[Any, ...]) -> Graph:
    signature = program.graph_signature
    values = {**program.state_dict, **program.constants}
    lifted = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    inputs = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in signature.user_inputs]
    constants = {name: values[target].detach() for name, target in lifted.items()}
    owned = signature.inputs_to_parameters.items()
    parameters = {name: bool(values[target].requires_grad) for name, target in owned}
    calls = _fold(calls, constants, parameters)
    calls, used = needed(calls, [out.name for out in outputs if isinstance(out, Ref)])
    shapes = tuple(_shape(node) for node in inputs)
    dtypes = [node.meta["val"].dtype for node in inputs if isinstance(node.meta.get("val"), Tensor)]
    examples = pytree.tree_leaves(program.example_inputs)
    batch = shapes[0][0] if shapes and shapes[0] else None
    return Graph(
        inputs=tuple(node.name for node in inputs),
        input_shapes=shapes,
        calls=calls,
        constants={name: value for name, value in constants.items() if name in used},
        outputs=outputs,
        in_spec=program.call_spec.in_spec,
        out_spec=program.call_spec.out_spec,
        paths={name: path for name, path in lifted.items() if name in used},
        batch=batch,
        dtype=_own_dtype(dtypes, constants.values()),
        input_dtypes=tuple(dtypes),
        example_shapes=tuple(tuple(x.shape) for x in examples if isinstance(x, Tensor)),
        sizes=image_sizes(program),
        parameters={name: trained for name, trained in parameters.items() if name in used},
    )


def _own_dtype(inputs: Sequence[torch.dtype], constants: Iterable[Any]) -> torch.dtype:
    """The dtype of a network's numbers: the first floating one of an input, else of a constant."""
    dtypes = [*inputs, *(value.dtype for value in constants if isinstance(value, Tensor))]
    return next((dtype for dtype in dtypes if dtype.is_floating_point), torch.get_default_dtype())


def _fold(calls: Sequence[Call], constants: dict[str, Any], parameters: dict[str, bool]) -> list[Call]:
    """The calls that remain when those on constants alone are carried out, into ``constants``, as torch does it.

    What is made of parameters is one.
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
    return remaining


def _user_outputs(program: ExportedProgram, output: torch.fx.Node) -> tuple[Any, ...]:
    kinds = program.graph_signature.output_specs
    flat = [
        value
        for spec, value in zip(kinds, cast("Sequence[Any]", output.args[0]), strict=True)
        if spec.kind.name == "USER_OUTPUT"
    ]
    return tuple(_refs(value) for value in flat)


def _call(node: torch.fx.Node) -> Call:
    modules = list((node.meta.get("nn_module_stack") or {}).values())
    path = modules[-1][0] if modules else ""
    return Call(
        name=node.name,
        op=_op(node.target),
        target=cast("Any", node.target),
        args=tuple(_refs(argument) for argument in node.args),
        kwargs={key: _refs(value) for key, value in node.kwargs.items()},
        shape=_shape(node),
        where=line_in(node.meta.get("stack_trace") or "") or _place(path),
        module="" if path.startswith("_empty_nn_module_stack") else path,
        dtype=getattr(node.meta.get("val"), "dtype", None),
    )


def _place(path: str) -> str:
    """Of a call that none but torch's own code makes, so that no line of the model stands for it."""
    return f"module {path!r}" if path and not path.startswith("_empty") else "a line that torch.export did not record"


def _op(target: Any) -> str:
    """The name of a call; ``mylib::neg`` is not the ``neg`` of ATen."""
    namespace = getattr(target, "namespace", "")
    packet = getattr(target, "overloadpacket", target)
    if not namespace:
        return f"{target.__module__.lstrip('_')}.{target.__name__}"
    return packet.__name__ if namespace == "aten" else f"{namespace}::{packet.__name__}"


def _refs(value: Any) -> Any:
    if isinstance(value, torch.fx.Node):
        return Ref(value.name)
    if isinstance(value, list | tuple):
        return type(value)(_refs(item) for item in value) if type(value) in (list, tuple) else [_refs(v) for v in value]
    return value


def _shape(node: torch.fx.Node) -> Size:
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return ()
    sizes = tuple(map(fixed, value.shape))
    return sizes if sizes[:1] != (None,) else (Rows.drawn(value.shape[0]), *sizes[1:])
