"""Certificates say yes to what is right and no to what is wrong by one bit, in the network or in its collapse.

    network     a small residual network with BatchNorm, uneven strengths and biases, its numbers drawn from a seed
    mutant      a copy with one defect; every level must tell which of them it can see
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from algebraic_cnn import AffineMap, certify, collapse, derive
from algebraic_cnn.errors import NonFiniteError, ShapeError, TrainingModeError, UnknownNameError
from algebraic_cnn.ir.graph import Graph
from algebraic_cnn.ir.trace import trace
from algebraic_cnn.models import LinearCNN, SkipSpec

exactly = partial(certify, level="modular")

EXAMPLE = torch.zeros(2, 2, 6, 6)


def drawn(model: nn.Module, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The model in evaluation mode with numbers of all magnitudes near one, BatchNorm statistics included."""
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            values = rng.standard_normal(tensor.shape)
            tensor.copy_(torch.from_numpy(abs(values) + 0.5 if name.endswith("running_var") else values))
    return model.to(dtype).eval()


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    layers = [
        nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)),
        nn.Conv2d(3, 3, 3, padding=1),
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Sequential(nn.AvgPool2d(2, stride=1), nn.Flatten(), nn.Linear(16, 3)),
    ]
    skips = {(0, 2): SkipSpec(0.75, "conv"), (1, 3): SkipSpec(-1.5, "conv", True)}
    return drawn(LinearCNN((2, 6, 6), layers, skips), seed, dtype)


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def graph(original: nn.Module) -> Graph:
    return trace(original, EXAMPLE)


def step(tensor: Tensor, index: int, ulps: int = 1) -> None:
    """One entry some floats away from zero."""
    flat = tensor.detach().view(-1)
    bits = flat.view(torch.int32 if flat.dtype == torch.float32 else torch.int64)
    bits[index] += ulps


def weight_by_an_ulp(model: nn.Module) -> None:
    step(model.layers[1].weight, 5)


def bias_by_an_ulp(model: nn.Module) -> None:
    step(model.layers[0][0].bias, 1)


def running_mean_by_an_ulp(model: nn.Module) -> None:
    step(model.layers[0][1].running_mean, 2)


def flipped_kernel(model: nn.Module) -> None:
    model.layers[2].weight.data = model.layers[2].weight.flip(-1)


def transposed_kernel(model: nn.Module) -> None:
    model.layers[2].weight.data = model.layers[2].weight.mT.contiguous()


def shifted_padding(model: nn.Module) -> None:
    model.layers[1].padding = (0, 0)
    model.layers[1] = nn.Sequential(nn.ZeroPad2d((0, 2, 2, 0)), model.layers[1])


def padded_by_copies(model: nn.Module) -> None:
    conv = model.layers[2]
    replicating = nn.Conv2d(3, 4, 3, stride=2, padding=1, padding_mode="replicate")
    replicating.load_state_dict(conv.state_dict())
    model.layers[2] = replicating


def dropped_skip(model: nn.Module) -> None:
    model.strengths[0, 2] = 0.0


def dropped_bias(model: nn.Module) -> None:
    model.layers[1].bias.data.zero_()


def another_eps(model: nn.Module) -> None:
    model.layers[0][1].eps *= 2


MUTATIONS: list[Callable[[nn.Module], None]] = [
    weight_by_an_ulp,
    bias_by_an_ulp,
    running_mean_by_an_ulp,
    flipped_kernel,
    transposed_kernel,
    shifted_padding,
    padded_by_copies,
    dropped_skip,
    dropped_bias,
    another_eps,
]


@pytest.mark.parametrize("seed", range(3))
def test_a_network_is_itself(seed: int) -> None:
    model = network(seed)
    certificate = exactly(model, copy.deepcopy(model), EXAMPLE)
    assert certificate.ok
    assert certificate.witness is None
    assert "same function over the rational numbers" in certificate.statement


def test_the_same_numbers_in_another_dtype_are_the_same_network(original: nn.Module) -> None:
    wider = copy.deepcopy(original).double()
    program = torch.export.export(wider, (EXAMPLE.double(),))
    assert exactly(torch.export.export(original, (EXAMPLE,)), program).ok


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_every_mutant_is_refuted(original: nn.Module, graph: Graph, mutate: Callable[[nn.Module], None]) -> None:
    mutant = copy.deepcopy(original)
    mutate(mutant)
    mutant.eval()
    certificate = exactly(graph, mutant, EXAMPLE, points=1)
    assert not certificate.ok
    assert certificate.error_probability is None
    assert certificate.witness is not None
    assert certificate.witness.original != certificate.witness.collapsed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["forward", "adjoint"])
def test_a_collapse_is_certified_to_the_last_bit(graph: Graph, dtype: torch.dtype, method: str) -> None:
    dense = derive(graph, method=method).to_module(dtype)
    certificate = exactly(graph, dense, EXAMPLE, method=method)
    assert certificate.ok
    assert certificate.error_probability <= 2.0**-80
    assert f"rounded to {str(dtype).removeprefix('torch.')}, equal to the last bit" in certificate.statement


def test_collapse_says_how_it_derived(original: nn.Module) -> None:
    assert collapse(original, EXAMPLE, dtype=torch.float64, method="forward").certificate.ok


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "index"), [("weight", 0), ("weight", 100), ("bias", 2)])
def test_one_ulp_in_a_collapse_is_refuted(graph: Graph, dtype: torch.dtype, name: str, index: int) -> None:
    dense = derive(graph).to_module(dtype)
    step(getattr(dense, name), index)
    certificate = exactly(graph, dense, EXAMPLE)
    assert not certificate.ok
    place = f"{divmod(index, 72)} of W" if name == "weight" else f"{(index,)} of b"
    assert certificate.witness.what == f"entry {place}"


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_mutant_collapse_is_refuted(original: nn.Module, graph: Graph, mutate: Callable[[nn.Module], None]) -> None:
    mutant = copy.deepcopy(original)
    mutate(mutant)
    mutant.eval()
    collapsed = derive(mutant, EXAMPLE).to_module()
    assert not exactly(graph, collapsed, EXAMPLE).ok


def test_an_explicit_map_is_compared_as_it_stands(graph: Graph) -> None:
    affine = derive(graph)
    assert exactly(affine, affine).ok
    assert exactly(affine, affine.to("csr")).ok
    rounded = AffineMap(affine.W.astype(np.float32), affine.b.astype(np.float32), affine.in_shape, affine.out_shape)
    assert exactly(affine, rounded).ok
    rounded.W[1, 7] = np.nextafter(rounded.W[1, 7], np.float32(np.inf))
    assert exactly(affine, rounded).witness.what == "entry (1, 7) of W"


def test_a_network_of_rounded_products_is_not_the_network() -> None:
    """Folding a BatchNorm rounds every weight: another function, by a little, and said so."""
    model = drawn(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 2)))
    folded = torch.nn.utils.fuse_conv_bn_eval(copy.deepcopy(model[0]), copy.deepcopy(model[1]))
    certificate = exactly(model, nn.Sequential(folded, model[2]).eval(), EXAMPLE)
    assert not certificate.ok
    assert "not the same function" in certificate.statement


def test_a_witness_can_be_checked_by_hand() -> None:
    """The values of a witness are those of the exact functions at its input, modulo its prime."""
    first = drawn(nn.Linear(2, 1))
    second = copy.deepcopy(first)
    step(second.weight, 1)
    pair = [nn.Sequential(layer, nn.Linear(1, 1, bias=False)) for layer in (first, second)]
    for model in pair:
        nn.init.constant_(model[1].weight, 3.0)
    witness = exactly(*(model.eval() for model in pair), torch.zeros(1, 2)).witness
    for layer, value in ((first, witness.original), (second, witness.collapsed)):
        numbers = [Fraction(w) for w in (*layer.weight[0].tolist(), layer.bias.item())]
        exact = 3 * (numbers[0] * int(witness.input[0]) + numbers[1] * int(witness.input[1]) + numbers[2])
        assert (exact.numerator - int(value) * exact.denominator) % witness.modulus == 0


@pytest.mark.parametrize("points", [1, 8, 12])
def test_the_error_probability_is_what_was_asked_for(graph: Graph, points: int) -> None:
    certificate = exactly(graph, graph, points=points)
    assert 0 < certificate.error_probability <= 2.0 ** (-10 * points)
    assert len(certificate.primes) >= points or certificate.error_probability < 2.0**-80
    assert certificate.points == points


def test_the_seed_decides_primes_and_inputs(graph: Graph) -> None:
    first, again, other = (exactly(graph, graph, seed=seed) for seed in (5, 5, 6))
    assert first.primes == again.primes != other.primes


def test_progress_is_reported(graph: Graph) -> None:
    seen: list[tuple[int, int]] = []
    certificate = exactly(graph, graph, progress=lambda done, total: seen.append((done, total)))
    count = len(certificate.primes)
    assert seen == [(done, count) for done in range(1, count + 1)]


def test_what_cannot_be_compared_is_refused(original: nn.Module) -> None:
    smaller = drawn(nn.Sequential(nn.Flatten(), nn.Linear(72, 2)))
    certificate = exactly(original, smaller, EXAMPLE)
    assert certificate.verdict == "different"
    assert "output 0 is own (1, 3) in the first and own (1, 2) in the other" in certificate.statement
    with pytest.raises(ShapeError, match=r"differ in their inputs: input 0 is own \(N, 2, 6, 6\) in the first"):
        exactly(trace(original, EXAMPLE), trace(nn.Linear(6, 6).eval(), EXAMPLE[:, 0]))
    with pytest.raises(ShapeError, match=r"needs points: expected .* 1.*, got 0"):
        exactly(original, original, EXAMPLE, points=0)
    with pytest.raises(UnknownNameError, match=r"unknown level.*bounded.*modular.*got certain"):
        certify(original, original, EXAMPLE, level="certain")
    with pytest.raises(UnknownNameError, match="unknown method"):
        exactly(original, original, EXAMPLE, method="guessed")
    with pytest.raises(TrainingModeError):
        exactly(original, copy.deepcopy(original).train(), EXAMPLE)
    rectified = nn.Sequential(copy.deepcopy(original), nn.ReLU()).eval()
    for level in ("sampled", "bounded", "modular", "rational"):
        certificate = certify(original, rectified, EXAMPLE, level=level)
        assert not certificate.ok
        assert "different numbers of calls that are not affine, 0 and 1" in certificate.statement


def test_a_weight_that_is_no_number_is_refused(original: nn.Module) -> None:
    broken = copy.deepcopy(original)
    broken.layers[2].bias.data[0] = math.nan
    with pytest.raises(NonFiniteError):
        exactly(original, broken, EXAMPLE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_explains_a_collapse(graph: Graph, dtype: torch.dtype) -> None:
    certificate = certify(graph, derive(graph).to_module(dtype), EXAMPLE, level="bounded")
    assert certificate.ok
    assert certificate.observed <= certificate.bound
    assert "no more than rounding explains" in certificate.statement
    assert "an estimate, not a bound" in str(certificate)
    assert certificate.observed <= certificate.likely < certificate.bound


def test_rounding_explains_a_fused_network() -> None:
    model = drawn(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 2)))
    folded = torch.nn.utils.fuse_conv_bn_eval(copy.deepcopy(model[0]), copy.deepcopy(model[1]))
    assert certify(model, nn.Sequential(folded, model[2]).eval(), EXAMPLE, level="bounded").ok


@pytest.mark.parametrize("mutate", MUTATIONS[3:-1], ids=lambda mutate: mutate.__name__)
def test_rounding_explains_no_large_mutation(
    original: nn.Module, graph: Graph, mutate: Callable[[nn.Module], None]
) -> None:
    mutant = copy.deepcopy(original)
    mutate(mutant)
    certificate = certify(graph, mutant.eval(), EXAMPLE, level="bounded")
    assert not certificate.ok
    assert "the outputs differ by more than rounding explains" in certificate.statement
    assert certificate.observed > certificate.bound
    assert len(certificate.witness.input) == 72


def test_an_error_of_one_ulp_is_too_small_for_the_bound(original: nn.Module, graph: Graph) -> None:
    mutant = copy.deepcopy(original)
    weight_by_an_ulp(mutant)
    assert certify(graph, mutant, EXAMPLE, level="bounded").ok


def test_without_a_finite_bound_there_is_no_yes() -> None:
    model = drawn(nn.Linear(300, 1), dtype=torch.bfloat16)
    certificate = certify(model, model, torch.zeros(1, 300).bfloat16(), level="bounded")
    assert not certificate.ok
    assert certificate.bound == math.inf
    assert "no finite bound exists" in certificate.statement


def test_a_rounded_map_is_within_rounding_of_the_map(graph: Graph) -> None:
    f = derive(graph)
    rounded = AffineMap(f.W.astype(np.float32), f.b.astype(np.float32), f.in_shape, f.out_shape)
    assert certify(f, rounded, level="bounded").ok
    rounded.W[0, 0] *= 1.01
    assert not certify(f, rounded, level="bounded").ok


def test_outputs_are_compared_at_the_inputs_given(graph: Graph) -> None:
    dense = derive(graph).to_module(torch.float32)
    x = torch.ones(3, 2, 6, 6)
    certificate = certify(graph, dense, EXAMPLE, level="bounded", inputs=x)
    assert certificate.ok
    assert certificate.statement.startswith("at 3 given inputs")
    step(dense.weight, 0, 2**26)
    certificate = certify(graph, dense, EXAMPLE, level="bounded", inputs=x)
    assert not certificate.ok
    assert certificate.witness.input == [1.0] * 72
    assert certify(graph, dense, EXAMPLE, level="bounded", inputs=torch.zeros(1, 2, 6, 6)).ok
    with pytest.raises(ShapeError, match="does not fit"):
        certify(graph, dense, EXAMPLE, level="bounded", inputs=torch.zeros(1, 2, 6, 5))


def test_a_sample_says_that_it_is_one(graph: Graph) -> None:
    certificate = certify(graph, derive(graph), level="sampled", points=3)
    assert certificate.ok
    assert certificate.level == "sampled"
    assert certificate.statement.startswith("a smoke test: at 3 random inputs")


def test_a_bound_says_for_which_kernels_it_holds(graph: Graph) -> None:
    certificate = certify(graph, graph, level="bounded", points=1)
    assert "sum rounded products, not for Winograd or FFT" in certificate.statement


@pytest.mark.cuda
@pytest.mark.parametrize("level", ["bounded", "modular"])
def test_on_cuda_reduced_precision_is_switched_off_and_said_so(original: nn.Module, level: str) -> None:
    torch.set_float32_matmul_precision("medium")
    model = copy.deepcopy(original).cuda()
    dense = derive(original, EXAMPLE).to_module(torch.float32).cuda()
    try:
        certificate = certify(model, dense, EXAMPLE.cuda(), level=level)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert certificate.ok
    assert ("TF32 and cuDNN" in certificate.statement) == (level == "bounded")
