"""What a run makes of its inputs, without any number: the history of every tensor.

    History     a run whose calls are noted: two tensors with one history hold the same numbers, whatever the inputs are
    Unfollowed  a run that cannot be followed without numbers

Histories are numbered as they come, (call, histories of what it is given) -> number, so that equal numbers mean equal
histories.  A tensor is a geometry on a storage; a call that writes gives the storage a new history.  A copy in another
order of memory has the history of what it copies: an export leaves out a ``contiguous`` that it believes to be idle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

_COPY = torch.ops.aten.copy_.default
#: Calls that give back the numbers that they are given, in their order.
_KEEPING = [torch.ops.aten.clone.default, torch.ops.aten.lift_fresh_copy.default]
#: Calls that look into memory itself: for these a tensor is where it lies.
_BY_PLACE = [f"aten::{name}" for name in ("as_strided", "as_strided_", "as_strided_scatter", "resize_", "set_")]
_CAST = torch.ops.aten.view.dtype
_NORM = torch.ops.aten.native_batch_norm.default
_ITEM = torch.ops.aten._local_scalar_dense.default


class Unfollowed(Exception):
    """A run that needs the numbers of what it is given, or that makes calls which hide others."""


class History(TorchDispatchMode):
    """Notes what every tensor was made of.

    Calls on tensors that depend on no input are carried out; all others are followed on tensors without numbers.  What
    a model keeps is never written.

    Args:
        kept: what a model keeps, by name: parameters and buffers.

    >>> history = History({"w": torch.ones(3)})
    >>> x = history.argument("x", torch.zeros(2, 3))
    >>> with history:
    ...     once, twice, other = x * 2, x * 2, x * 3
    >>> history.of(once) == history.of(twice), history.of(once) == history.of(other)
    (True, False)
    """

    def __init__(self, kept: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._numbers: dict[Any, int] = {}
        self._made: dict[Any, Any] = {}
        self._past: dict[int, tuple[Any, int]] = {}
        self._loose: set[int] = set()
        self._labels: dict[int, tuple[Any, int]] = {}
        self._places: dict[Any, Any] = {}
        for name, tensor in kept.items():
            storage = tensor.untyped_storage()
            self._labels.setdefault(storage._cdata, (storage, self._number("kept", name)))
        self.forget()

    def forget(self) -> None:
        """Everything that the model keeps is again as it was before any run."""
        self._past |= self._labels
        self._loose -= self._labels.keys()

    def argument(self, name: str, like: Tensor, batch: int | None = None) -> Tensor:
        """A tensor without numbers in the place of an argument, its first axis as long as the batch."""
        size = list(like.shape) if batch is None else [batch, *like.shape[1:]]
        strides = like.stride() if size == list(like.shape) else torch.empty(size, device="meta").stride()
        bare = torch.empty_strided(size, strides, dtype=like.dtype, device="meta")
        x = FakeTensor(self._fake, bare, like.device)
        self._past[x.untyped_storage()._cdata] = x.untyped_storage(), self._number("argument", name)
        return x

    def noted(self, name: str, like: Tensor) -> Tensor:
        """A copy of an argument with its numbers; it has the history of the one without."""
        shared = any(n > 1 and not step for n, step in zip(like.shape, like.stride(), strict=True))
        like = like.detach()
        x = (
            like.clone()
            if shared
            else torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=like.device)
        )
        x.copy_(like)
        self._past[x.untyped_storage()._cdata] = x.untyped_storage(), self._number("argument", name)
        return x

    def of(self, value: Any) -> Any:
        """The history of a tensor, wherever it lies; any other value with its type."""
        if not isinstance(value, Tensor):
            if isinstance(value, list | tuple):
                return list, *map(self.of, value)
            return _shaped(value)
        place = self._place(value)
        return self._places.setdefault(place, place)

    def _lying(self, value: Any) -> Any:
        """The same, but of a tensor where it lies."""
        return self._place(value) if isinstance(value, Tensor) else self.of(value)

    def _place(self, value: Tensor) -> tuple[Any, ...]:
        """The history of what a tensor lies in, and where it lies there."""
        storage = value.untyped_storage()
        past = self._past.get(storage._cdata)
        if past is None:
            past = self._past[storage._cdata] = storage, self._number("numbers", _numbers(value))
        return past[1], *_geometry(value)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One call: note it, and find its result without its numbers."""
        kwargs = kwargs or {}
        of = self._lying if func._schema.name in _BY_PLACE or func is _CAST else self.of
        key = self._number(func, *map(of, args), *((name, of(value)) for name, value in kwargs.items()))
        tensors = list(_tensors((*args, *kwargs.values())))
        real = not any(isinstance(x, FakeTensor) for x in tensors)
        loose = any(x.untyped_storage()._cdata in self._loose for x in tensors) if self._loose else False
        if func is _ITEM and (loose or not real):
            raise Unfollowed("a number is read out of a tensor")
        written = _written(func, args, kwargs)
        if written and torch.Tag.inplace_view not in func.tags:
            return self._write(func, args, kwargs, key, written, carried_out=real and not loose)
        result = func(*args, **kwargs) if real else self._followed(func, args, kwargs)
        for place, x in enumerate(_tensors(result if isinstance(result, list | tuple) else (result,))):
            storage = x.untyped_storage()
            if storage._cdata not in self._past:
                same = func in _KEEPING and _is_whole(x) and _is_whole(args[0])
                label = self._place(args[0])[0] if same else self._number(key, place)
                self._past[storage._cdata] = StorageWeakRef(storage), label  # its numbers need not be kept
                if loose and real:
                    self._loose.add(storage._cdata)
                kept = self.of(args[0]) if func in _KEEPING else (key, place, x.shape, x.dtype)
                self._places.setdefault(self._place(x), kept)
            else:
                self._places.setdefault(self._place(x), (key, place))
        return result

    def _write(self, func: Any, args: Any, kwargs: Any, key: int, written: list[Tensor], *, carried_out: bool) -> Any:
        """A call that overwrites what it is given; on what the model keeps, it is noted only."""
        storages = [x.untyped_storage()._cdata for x in written]
        kept = any(storage in self._labels for storage in storages)
        if carried_out and not kept:
            result = func(*args, **kwargs)
        elif len(written) == 1 and len(func._schema.returns) == 1:
            (result,) = written
        else:
            result = self._followed(func, args, kwargs)
        for place, x in enumerate(written):
            storage = x.untyped_storage()
            whole = func is _COPY and _is_whole(x) and x.dtype == args[1].dtype and x.shape == args[1].shape
            label = self._place(args[1])[0] if whole and _is_whole(args[1]) else self._number(key, "writes", place)
            self._past[storage._cdata] = storage, label
            if not isinstance(x, FakeTensor) and not (carried_out and not kept):
                self._loose.add(storage._cdata)
        return result

    def _followed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result without its numbers; what was found once for a call on such shapes is not found again."""
        _require_places(func, args, kwargs)
        if any(a.alias_info is not None for a in (*func._schema.arguments, *func._schema.returns)):
            return self._faked(func, args, kwargs)
        key = func, _shaped(args), tuple(kwargs), _shaped(tuple(kwargs.values()))
        if key not in self._made:
            if func is _NORM and not args[5]:  # torch finds it in thirty steps, which would be most of all the time
                empty = _shaped(args[0].new_empty(0))
                self._made[key] = tuple, _shaped(torch.empty_like(args[0])), empty, empty
            else:
                result = self._faked(func, args, kwargs)
                self._made[key] = None if _shares(result, (*args, *kwargs.values())) else _shaped(result)
                return result
        if self._made[key] is None:
            return self._faked(func, args, kwargs)
        return self._again(self._made[key])

    def _again(self, shaped: Any) -> Any:
        """A new value of the kind that ``_shaped`` describes."""
        if shaped[0] in (list, tuple):
            return shaped[0](map(self._again, shaped[1:]))
        if shaped[0] is float:
            return float.fromhex(shaped[1])
        if shaped[0] is not Tensor:
            return shaped[1]
        _, shape, strides, dtype, device, *_ = shaped
        return FakeTensor(self._fake, torch.empty_strided(shape, strides, dtype=dtype, device="meta"), device)

    def _faked(self, func: Any, args: Any, kwargs: Any) -> Any:
        with self._fake:
            return func(*args, **kwargs)

    def _number(self, *key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _geometry(x: Tensor) -> tuple[Any, ...]:
    more = (x.is_conj(), x.is_neg()) if x.dtype.is_complex else ()
    return tuple(x.shape), tuple(x.stride()), x.dtype, x.device, x.storage_offset(), *more


def _shaped(value: Any) -> tuple[Any, ...]:
    """What can be said of a value without the numbers in its tensors."""
    if isinstance(value, Tensor):
        return Tensor, *_geometry(value)
    if isinstance(value, list | tuple):
        return type(value), *map(_shaped, value)
    if isinstance(value, float):
        return float, value.hex()  # NaN is itself, and -0.0 is not 0.0
    return type(value), value


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _require_places(func: Any, args: Any, kwargs: Any) -> None:
    """Raise what torch raises where a constant names a place that a tensor does not have.

    Of a tensor without numbers torch never asks.  So the call is made on zeros, which take the memory of one number
    where they are not overwritten.
    """
    given, written = list(_tensors((*args, *kwargs.values()))), _written(func, args, kwargs)
    places = any(not isinstance(x, FakeTensor) and x.ndim and x.dtype in (torch.int64, torch.int32) for x in given)
    if places and torch.Tag.pointwise not in func.tags and all(isinstance(x, FakeTensor) for x in written):
        args, kwargs = pytree.tree_map_only(FakeTensor, _zeros, (args, kwargs))
        func(*(x.clone() if isinstance(x, Tensor) and written else x for x in args), **kwargs)


def _zeros(x: FakeTensor) -> Tensor:
    return torch.zeros((), dtype=x.dtype, device=x.fake_device).expand(x.shape)


def _shares(result: Any, given: Iterable[Any]) -> bool:
    """Whether a result lies in the memory of what the call was given, though its schema does not say so."""
    known = {x.untyped_storage()._cdata for x in _tensors(given)}
    return any(x.untyped_storage()._cdata in known for x in _tensors((result,)))


def _numbers(tensor: Tensor) -> bytes:
    """What identifies a constant that nothing was noted of: all that its storage holds."""
    if isinstance(tensor, FakeTensor):
        raise Unfollowed("a tensor comes from another run")
    memory = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
    return hashlib.sha256(memory.cpu().numpy().tobytes()).digest()


def _is_whole(x: Tensor) -> bool:
    """Whether a tensor is all of its storage, in order."""
    return x.is_contiguous() and x.numel() * x.element_size() == x.untyped_storage().nbytes()


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The arguments that a call overwrites."""
    if not func._schema.is_mutable:
        return []
    named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    given = [named.get(a.name) for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return list(_tensors(given))
