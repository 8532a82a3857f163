"""Ensembles of trees (ai.onnx.ml): every input walks down every tree, and the leaves are added.

TREES    operator -> function from (attributes, version) to the function of the tensors it is given, or None
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .constants import tensor_of

Attributes = Mapping[str, Any]

#: How an entry is compared with the number of a node, by ONNX's numbers.
_MODES = (torch.le, torch.lt, torch.ge, torch.gt, torch.eq, torch.ne)

#: How the leaves of one target are taken together.
_MEAN, _SUM, _LEAST, _MOST = range(4)


def _tree_ensemble(a: Attributes, version: int) -> Callable[..., Any] | None:
    """Since version 5: nodes and leaves each in a row; a child is a node or a leaf, as its flag says."""
    modes = tensor_of(a["nodes_modes"]).long()
    if bool((modes >= len(_MODES)).any()) or a.get("post_transform", 0) not in (0, 1, 2):
        return None
    splits, weights = tensor_of(a["nodes_splits"]), tensor_of(a["leaf_weights"])
    features, targets, roots = (torch.tensor(a[n]) for n in ("nodes_featureids", "leaf_targetids", "tree_roots"))
    nodes = len(features)
    # a leaf is a place after the nodes
    yes, no = (
        torch.tensor(a[f"nodes_{w}nodeids"]) + nodes * torch.tensor(a[f"nodes_{w}leafs"]) for w in ("true", "false")
    )
    missing = torch.tensor(a.get("nodes_missing_value_tracks_true") or [0] * nodes).bool()
    how, count = a.get("aggregate_function", _SUM), a.get("n_targets", 1)

    def run(x: Tensor) -> Tensor:
        if x.is_meta:
            return x.new_empty(len(x), count)
        at = roots.expand(len(x), -1)
        inner = at < nodes
        while bool(inner.any()):
            here = at.clamp(max=nodes - 1)
            entry, split = x.gather(1, features[here]), splits[here].to(x.dtype)
            up = torch.zeros_like(inner)
            for mode, compared in enumerate(_MODES):
                up |= (modes[here] == mode) & compared(entry, split)
            up |= entry.isnan() & missing[here]
            at = torch.where(inner, torch.where(up, yes[here], no[here]), at)
            inner = at < nodes
        return _transformed(_gathered(x, targets[at - nodes], weights[at - nodes]), a.get("post_transform", 0))

    def _gathered(x: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        total = x.new_zeros(len(x), count)
        if how in (_LEAST, _MOST):
            word = "amin" if how == _LEAST else "amax"
            return total.scatter_reduce(1, target, weight.to(x.dtype), word, include_self=False)
        total = total.scatter_add(1, target, weight.to(x.dtype))
        return total / len(roots) if how == _MEAN else total

    return run


def _transformed(y: Tensor, way: int) -> Tensor:
    return y if way == 0 else y.softmax(-1) if way == 1 else y.sigmoid()


TREES: dict[str, Callable[[Attributes, int], Callable[..., Any] | None]] = {"TreeEnsemble": _tree_ensemble}
