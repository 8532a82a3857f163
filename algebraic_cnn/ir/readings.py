"""Numbers that a model reads out of its own weights while it is exported: ``float(self.scale[0])``.

torch.export shows a model its weights without their numbers, so that a branch or a loop by one of them cannot be
taken.  A weight is a constant of the network, and so is what a model computes of weights alone.  Here such values are
computed beside the export, and the model is given their numbers where it asks for one.

    Readings    which numbers were read
    readable    context: while it holds, a model that is exported reads the numbers of what it computes of weights alone
    wants       whether an export failed because a number was read

What is random, and all that was known before something was written in place, is not known: then the export fails as it
would have failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes

from .paths import in_forward

_READS = frozenset(
    [
        *(Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.__bool__, Tensor.__float__, Tensor.__int__),
        *(Tensor.__index__, Tensor.is_nonzero, Tensor.__contains__, torch.is_nonzero, torch.equal, torch.allclose),
    ]
)
_MAKES = frozenset([torch.tensor, torch.zeros, torch.ones, torch.full, torch.arange, torch.eye, torch.linspace])


@dataclass(eq=False)
class Readings:
    """Which numbers a model read out of its weights.

    Attributes:
        read: whether there are any.
        written: whether the model overwrites a weight, or what it computes of weights alone.
    """

    read: bool = False
    written: bool = False


def wants(failure: BaseException) -> bool:
    """Whether an export failed because a number was read out of a tensor."""
    names = {"GuardOnDataDependentSymNode", "DataDependentOutputException"}
    return type(failure).__name__ in names or ".numpy() is not supported" in str(failure)


@contextlib.contextmanager
def readable(model: torch.nn.Module) -> Iterator[Readings]:
    """While this holds, numbers that a model's forward pass computes of its weights alone can be read.

    >>> class Scaled(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.register_buffer("scale", torch.tensor([3.0]))
    ...     def forward(self, x):
    ...         return x * 2 if self.scale[0] > 1 else x
    >>> model = Scaled().eval()
    >>> with readable(model) as readings:
    ...     program = torch.export.export(model, (torch.zeros(2),))
    >>> readings.read
    True
    """
    numbers = _tensors_of(model)
    found = Readings()

    def beside() -> _Beside:
        known = {id(shown): (shown, numbers[name]) for name, shown in _tensors_of(model).items() if name in numbers}
        return _Beside(found, known)

    with in_forward(model, beside):
        yield found


def _tensors_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters, buffers and tensors that are plain attributes, by dotted path."""
    found = dict(model.named_parameters(remove_duplicate=False))
    found |= dict(model.named_buffers(remove_duplicate=False))
    for path, module in model.named_modules(remove_duplicate=False):
        found |= {f"{path}.{name}": value for name, value in vars(module).items() if isinstance(value, Tensor)}
    return found


class _Beside(TorchFunctionMode):
    """Every call of the model, made beside it on numbers where all that it is given is known."""

    def __init__(self, found: Readings, known: dict[int, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.found = found
        self.known = known

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _READS:
            numbers = self._numbers(args, kwargs)
            if numbers is not None:
                self.found.read = True
                return self._called(func, *numbers)
        result = func(*args, **kwargs)
        self._follow(func, args, kwargs, result)
        return result

    def _numbers(self, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """The arguments with numbers; None where those of one are not known."""
        leaves = pytree.tree_leaves((args, kwargs))
        if any(isinstance(leaf, Tensor) and id(leaf) not in self.known for leaf in leaves):
            return None
        if any(isinstance(leaf, torch.SymInt | torch.SymFloat | torch.SymBool) for leaf in leaves):
            return None
        return pytree.tree_map(lambda x: self.known[id(x)][1] if isinstance(x, Tensor) else x, (args, kwargs))

    def _follow(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Know the result of a call, if it is one of what is known; know nothing after a weight was written."""
        given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        shown = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        written = [x for x in given if any(x is y for y in shown)]
        written += given if _writes(func, kwargs) else []
        if written:
            memory = {x.untyped_storage()._cdata for x, _ in self.known.values()}
            if any(x.untyped_storage()._cdata in memory for x in written):
                self.found.written = True
                self.known.clear()
            return
        numbers = self._numbers(args, kwargs) if shown and (given or func in _MAKES) else None
        if numbers is None:
            return
        made = [leaf for leaf in pytree.tree_leaves(self._called(func, *numbers)) if isinstance(leaf, Tensor)]
        if [x.shape for x in made] == [x.shape for x in shown]:
            self.known |= {id(x): (x, y) for x, y in zip(shown, made, strict=True)}

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A call on numbers, beside the export; nothing where it draws random ones."""
        with _disable_current_modes(), torch.no_grad(), torch._C.DisableTorchFunction():
            before = torch.random.get_rng_state()
            result = func(*args, **kwargs)
            if not torch.equal(before, torch.random.get_rng_state()):
                torch.random.set_rng_state(before)
                return None
        return result


def _writes(func: Any, kwargs: Any) -> bool:
    """Whether a call may overwrite what it is given."""
    name = getattr(func, "__name__", "")
    inplace = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    return inplace or "out" in kwargs or bool(kwargs.get("inplace"))
