"""Is a program the model that it was exported from, at the example's batch size and at others?

    Memory      what a model keeps between calls of its forward pass, to be put back
    own_chance  context: random numbers are not the user's
    Comparison  model, program, batch size -> whether the program makes of every input what the model makes of it

torch.export watches one run and generalises it: a branch on the size of the batch, a ``squeeze``, a counter in Python
become part of the program or vanish.  Here the model runs again, and so does the program; the two are the same where
every output, and everything that is written, has the same history (histories.py).  At the example the model runs with
its numbers, so that what it does only when it is watched (an assertion, a branch on ``FakeTensor``) is not taken for
what it does; at other batch sizes it runs without.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx.node import map_arg
from torch.utils import _pytree as pytree

from .dynamic_shapes import fixed
from .histories import History, Unfollowed
from .paths import as_exported
from .refusal import quiet


class Memory:
    """Everything that the modules of a model keep, to be put back after a run."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._kept = [(module, _shallow(module)) for module in model.modules()]

    def restore(self) -> None:
        """Put everything back."""
        for module, kept in self._kept:
            vars(module).clear()
            vars(module).update({name: value for name, (value, _) in kept.items()})
            for value, parts in kept.values():
                _refill(value, parts)

    def restore_tensors(self) -> None:
        """Put buffers and parameters back, which are noted by themselves."""
        for _, kept in self._kept:
            for name in ("_buffers", "_parameters"):
                _refill(*kept[name])

    def changed(self) -> bool:
        """Whether anything but buffers and parameters is not what it was."""
        for module, kept in self._kept:
            now = vars(module)
            if now.keys() != kept.keys():
                return True
            for name, (value, parts) in kept.items():
                if name in ("_buffers", "_parameters"):
                    continue
                same = now[name] is value and (parts is None or _same(value, parts))
                if not same:
                    return True
        return False


def _shallow(module: torch.nn.Module) -> dict[str, tuple[Any, Any]]:
    """Every attribute, and what it holds where it is a container."""
    return {name: (value, _parts(value)) for name, value in vars(module).items()}


def _parts(value: Any) -> Any:
    return type(value)(value) if type(value) in (list, dict, set) else None


def _refill(value: Any, parts: Any) -> None:
    if parts is not None and not _same(value, parts):
        value.clear()
        value.extend(parts) if isinstance(value, list) else value.update(parts)


def _same(value: Any, parts: Any) -> bool:
    if len(value) != len(parts):
        return False
    if isinstance(value, dict):
        return all(key in parts and value[key] is parts[key] for key in value)
    return value == parts if isinstance(value, set) else all(a is b for a, b in zip(value, parts, strict=True))


class Comparison:
    """A model and a program of it, run beside each other.

    Args:
        model: in evaluation mode.
        program: exported from it.
        arguments: the example.
        memory: of the model as it was before any run.
        exporting: the model is to see an export (paths.py).

    Attributes:
        failure: what the model raised when it did not take a batch.

    Raises:
        Unfollowed: if the program has a branch or a loop of its own.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        program: ExportedProgram,
        arguments: Sequence[Tensor],
        memory: Memory,
        *,
        exporting: bool = False,
    ) -> None:
        opaque = next(_opaque(program.graph_module), None)
        if opaque is not None:
            raise Unfollowed(f"{opaque} hides its calls")
        self._model, self._program, self._arguments, self._memory = model, program, arguments, memory
        self._seen = as_exported if exporting else contextlib.nullcontext
        kept = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
        self._history = History(kept)
        signature = program.graph_signature
        values = {**program.state_dict, **program.constants}
        lifted = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.failure: Exception | None = None
        self._constants = {name: values[target] for name, target in lifted.items()}
        self._nodes = [(node, _known(node)) for node in program.graph.nodes]
        self._free = [_known(node)[:1] == [None] for node, _ in self._nodes if node.name in signature.user_inputs]

    def same(self, batch: int | None = None) -> bool | None:
        """Whether the program makes of a batch what the model makes of it; None if the model takes no such batch.

        Args:
            batch: its size; that of the example if it is not given.

        Raises:
            Unfollowed: if that cannot be said without numbers.
        """
        with self._undisturbed():
            return self._same(batch)

    def keeps(self, batch: int) -> bool:
        """Whether the model, given a batch of this size, keeps anything but buffers that it did not keep before."""
        try:
            with self._undisturbed():
                self._of_model(batch, numbers=True)
                return self._memory.changed()
        except Exception:  # a model may raise anything at a batch that it does not take
            return False

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # an export does not take it either
        try:
            with warnings.catch_warnings(), quiet(), torch.no_grad(), own_chance(self._arguments):
                warnings.simplefilter("ignore")
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            self._memory.restore()

    def _same(self, batch: int | None) -> bool | None:
        if batch is None:
            return self._agree(None, numbers=True)
        try:
            return self._agree(batch, numbers=False)
        except Unfollowed:
            return self._agree(batch, numbers=True)

    def _agree(self, batch: int | None, *, numbers: bool) -> bool | None:
        try:
            first = self._of_model(batch, numbers=numbers)
            again = self._of_model(batch, numbers=numbers) if self._memory.changed() else first
        except Unfollowed:
            raise
        except Exception as error:  # a model may raise anything at a batch that it does not take
            self.failure = error
            return None
        if first != again:
            return False
        bare = not numbers or batch is None  # without numbers a program is run faster, and most often that will do
        return (bare and first == self._made(batch, numbers=False)) or (
            numbers and first == self._made(batch, numbers=True)
        )

    def _made(self, batch: int | None, *, numbers: bool) -> Any:
        """What the program makes of its arguments; None where it cannot be run so."""
        try:
            return self._of_program(batch, numbers=numbers)
        except Unfollowed:
            if numbers or batch is not None:
                raise
        except Exception:  # a program may raise anything at a batch for which it was not made
            return None
        return None

    def _given(self, batch: int | None, *, numbers: bool) -> list[Tensor]:
        rows = enumerate(zip(self._arguments, self._free, strict=True))
        if numbers:
            return [self._history.noted(f"{i}", _tiled(x, batch) if free else x) for i, (x, free) in rows]
        return [self._history.argument(f"{i}", x, batch if free else None) for i, (x, free) in rows]

    def _of_model(self, batch: int | None, *, numbers: bool) -> Any:
        """What the model makes of its arguments: outputs, overwritten arguments, buffers."""
        self._memory.restore_tensors()
        self._history.forget()
        given = self._given(batch, numbers=numbers)
        with self._history, self._seen():
            outputs = self._model(*given)
        buffers = dict(self._model.named_buffers(remove_duplicate=False))
        found = self._result(outputs, given, buffers)
        self._memory.restore_tensors()
        return found

    def _of_program(self, batch: int | None, *, numbers: bool) -> Any:
        self._history.forget()
        given = self._given(batch, numbers=numbers)
        values: dict[str, Any] = dict(self._constants)
        values |= {str(name): x for name, x in zip(self._program.graph_signature.user_inputs, given, strict=True)}
        with self._history:
            flat = _run(self._nodes, self._program.graph_module, values)
        outputs = pytree.tree_unflatten(list(flat), cast("Any", self._program.call_spec.out_spec))
        buffers = {path: values[name] for name, path in self._program.graph_signature.inputs_to_buffers.items()}
        return self._result(outputs, given, dict(self._model.named_buffers(remove_duplicate=False)) | buffers)

    def _result(self, outputs: Any, given: Sequence[Tensor], buffers: Mapping[str, Tensor]) -> Any:
        leaves, spec = pytree.tree_flatten(outputs)
        history = self._history.of
        kept = {name: history(tensor) for name, tensor in buffers.items()}
        return spec, [history(leaf) for leaf in leaves], [history(x) for x in given], kept


def own_chance(arguments: Sequence[Tensor]) -> contextlib.AbstractContextManager[None]:
    """While this holds, random numbers are not the user's."""
    return torch.random.fork_rng([x.device for x in arguments if x.is_cuda])


def _tiled(x: Tensor, batch: int | None) -> Tensor:
    """As many samples as the batch has, those of an example in turn."""
    return x if batch is None else x[torch.arange(batch, device=x.device) % len(x)]


def _known(node: torch.fx.Node) -> list[int | None]:
    """The shape of a value as the program has it, None for what it leaves open."""
    value = node.meta.get("val")
    return [fixed(n) for n in value.shape] if isinstance(value, Tensor) else []


def _run(nodes: Sequence[tuple[torch.fx.Node, Any]], module: torch.nn.Module, values: dict[str, Any]) -> Any:
    """The outputs of a program's graph, and of a region inside it."""
    for node, shape in nodes:
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: values[n.name])
        if node.op == "get_attr":
            values[node.name] = module.get_submodule(str(node.target))
        elif node.op == "call_function":
            values[node.name] = _called(node.target, args, kwargs)
            value = values[node.name]
            if isinstance(value, Tensor) and shape is not None and not _fits(value.shape, shape):
                raise ValueError("a value of another shape than the program says")
        elif node.op == "output":
            return args[0]
    return ()


def _fits(found: Sequence[int], known: Sequence[int | None]) -> bool:
    return len(found) == len(known) and all(k is None or n == k for n, k in zip(found, known, strict=True))


#: Regions whose calls are the program's own, in another mode of torch.
_MODES = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def _opaque(module: torch.nn.Module) -> Iterator[str]:
    """The names of what a program does beside ATen calls and regions, inside its regions too."""
    for part in module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            if isinstance(node.target, torch._ops.HigherOrderOperator) and node.target.__name__ not in _MODES:
                yield node.target.__name__


def _called(target: Any, args: Any, kwargs: Any) -> Any:
    if not isinstance(target, torch._ops.HigherOrderOperator):
        return target(*args, **kwargs)
    if target.__name__ == _MODES[0]:
        context, (body, *given) = torch.set_grad_enabled(args[0]), args[1:]
    else:
        device, dtype, enabled, cache, body, *given = args
        context = torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=cache)
    inputs = [node.name for node in body.graph.nodes if node.op == "placeholder"]
    nodes = [(node, None) for node in body.graph.nodes]
    with context:
        return _run(nodes, body, dict(zip(inputs, given, strict=True)))
