"""What ``collapse`` gives back: the faster module, what was done, how it is known, and the maps that it found.

Collapse    the result; W and B of the whole or of any region are derived when they are asked for
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from ..algebra.affine import AffineMap
from ..certification.certificate import Certificate
from ..certification.check import device as device_of
from ..derivation.definitions import network_of
from ..derivation.methods import MEMORY_BUDGET, derive_graph
from ..errors import ShapeError
from ..ir.dynamic_shapes import dimensions
from ..ir.exporting import export
from ..ir.graph import Graph, Ref
from ..ir.image_sizes import ImageSizes
from ..rings.ring import Float
from .region import part, regions
from .report import Report


@dataclass(frozen=True, eq=False, repr=False)
class Collapse:
    """The result of ``collapse``.

    Attributes:
        model: the faster module; same signature, same outputs, same device.
        report: what was done.
        certificate: how it is known that nothing changed, or None if it was not asked for.
        graph: the network as calls.
        method: how W and B are derived.
        memory_budget: bytes that they may take.
        sizes: the image sizes that the model takes, if there is more than one; ``graph`` is at the example's.
        kept: affine calls that had to stay as they were, by name, and why.
        derived: W and B of the whole, where the model was made of them; ``affine`` asks for them.
    """

    model: nn.Module
    report: Report
    certificate: Certificate | None
    graph: Graph
    method: str = "auto"
    memory_budget: int = MEMORY_BUDGET
    sizes: ImageSizes | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    derived: AffineMap | None = None

    def __repr__(self) -> str:
        certified = "Not certified." if self.certificate is None else str(self.certificate)
        known, _, _ = certified.partition(":")
        return f"Collapse: {self.report.summary()}\n{known if self.certificate else certified}"

    def exported(self) -> ExportedProgram:
        """The model as a program of ``torch.export``, its batch and every other free axis free.

        Returns:
            A program that ``torch.export.save`` and ``torch.onnx.export`` take.

        Raises:
            TraceError: if torch cannot export the model.

        >>> import torch
        >>> from algebraic_cnn import collapse
        >>> program = collapse(torch.nn.Linear(3, 2).eval(), torch.zeros(1, 3)).exported()
        >>> program.module()(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
        """
        graph, modes = self.graph, {module: module.training for module in self.model.modules()}
        numbers = next(self.model.parameters(), torch.zeros((), dtype=graph.dtype, device=graph.device))
        users = len(graph.inputs) - len(graph.state)
        shapes = graph.example_shapes or [[n or 1 for n in shape] for shape in graph.input_shapes]
        example = []
        for shape, dtype in itertools.zip_longest(shapes[:users], graph.input_dtypes[:users]):
            dtype = numbers.dtype if dtype is None or dtype.is_floating_point else dtype
            example.append(torch.zeros(shape, dtype=dtype, device=numbers.device))
        try:
            for module in modes:
                module.training = False
            return export(self.model, tuple(example), dynamic_shapes=self.dynamic_shapes)
        finally:
            for module, training in modes.items():
                module.training = training

    @cached_property
    def affine(self) -> AffineMap | None:
        """W and B in float64, when the whole model is affine with one input and one output; else None.

        Raises:
            TooLargeError: if W is beyond the memory budget.
        """
        if self.derived is not None:
            return self.derived
        if self.report.boundaries or len(self.graph.inputs) != 1 or len(self.graph.outputs) != 1:
            return None
        device = device_of(self.graph)
        return derive_graph(self.graph, Float(), self.method, device=device, memory_budget=self.memory_budget)

    @property
    def dynamic_shapes(self) -> Any:
        """The free axes of the model beside the batch, as ``torch.export`` takes them; None if there are none."""
        users = len(self.graph.inputs) - len(self.graph.state)
        ranks = [len(shape) for shape in self.graph.input_shapes[:users]]
        return self.sizes and dimensions(self.sizes, self.graph.inputs[:users], ranks)

    def region(self, number: int) -> AffineMap:
        """W and B in float64 of one region of the report, from the value it reads to the value that others read.

        Args:
            number: of the region in ``report.regions``.

        Raises:
            NotAffineError: if the region has several inputs or outputs: then no one W says what it is.
            ShapeError: if there is no such region, or it mixes the samples of a batch.
            TooLargeError: if W is beyond the memory budget.

        >>> import torch
        >>> from algebraic_cnn import collapse
        >>> layers = torch.nn.Conv2d(1, 1, 2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4, 2)
        >>> from algebraic_cnn import collapse
        >>> result = collapse(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 1, 3, 3), measure=False)
        >>> [result.region(number).W.shape for number in range(2)]
        [(4, 9), (2, 4)]
        """
        network = network_of(self.graph, self.kept)
        count = len(self.report.regions)
        if number not in range(count):
            raise ShapeError("there is no such region", expected=f"0 to {count - 1}", got=repr(number), where="region")
        found = regions(network)[number]
        graph = part(self.graph, [Ref(name) for name in found.outputs], network.starts)
        return derive_graph(graph, Float(), device=device_of(self.graph), memory_budget=self.memory_budget)
