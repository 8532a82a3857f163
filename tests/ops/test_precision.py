"""What torch makes of constants before it computes, against its own kernels; and which calls round on purpose."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from algebraic_cnn import NonFiniteError, certify, collapse, derive, exact_map
from algebraic_cnn.ir.trace import export, trace
from algebraic_cnn.ops.evaluate import affine_obstacle, obstacles
from algebraic_cnn.ops.precision import UNIT_ROUNDOFF, holds, operand, out_of_range, reads_bits, swamps
from algebraic_cnn.rings.crt import nearest

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]

OPERATIONS: dict[str, tuple[Callable[[Any, Any], Tensor], Callable[[Fraction, Fraction], Fraction]]] = {
    "add": (lambda x, c: x + c, lambda x, c: x + c),
    "sub": (lambda x, c: x - c, lambda x, c: x - c),
    "rsub": (lambda x, c: torch.rsub(x, c), lambda x, c: c - x),
    "mul": (lambda x, c: x * c, lambda x, c: x * c),
}


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class Function(nn.Module):
    """y = function(x, *constants), the constants held as buffers."""

    def __init__(self, function: Callable[..., Any], *constants: Tensor) -> None:
        super().__init__()
        self.function, self.count = function, len(constants)
        for index, constant in enumerate(constants):
            self.register_buffer(f"c{index}", constant)
        self.eval()

    def forward(self, *x: Tensor) -> Any:
        return self.function(*x, *(getattr(self, f"c{index}") for index in range(self.count)))


def a_constant(kind: str, value: int) -> Any:
    """A number that float32 and shorter dtypes cannot hold, in one of the ways in which torch code says it."""
    tenth = value / 10
    return {
        "float": tenth,
        "integer": value,
        "float64 ()": torch.tensor(tenth, dtype=torch.float64),
        "float32 ()": torch.tensor(tenth, dtype=torch.float32),
        "int64 ()": torch.tensor(value),
        "int64 (1,)": torch.tensor([value]),
        "int64 (3,)": torch.tensor([value, value + 1, value]),
        "int32 (3,)": torch.tensor([value, value + 1, value], dtype=torch.int32),
    }[kind]


KINDS = ["float", "integer", "float64 ()", "float32 ()", "int64 ()", "int64 (1,)", "int64 (3,)", "int32 (3,)"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@given(st.integers(-(2**20), 2**20), st.lists(st.integers(-300, 300), min_size=3, max_size=3))
def test_torch_rounds_the_exact_result_of_these_operands_once(
    dtype: torch.dtype, op: str, kind: str, value: int, numbers: list[int]
) -> None:
    """In float16 and bfloat16 torch's kernels compute in float32 and round once more."""
    kernel, exactly = OPERATIONS[op]
    limit = 3_000 if dtype == torch.float16 else 2**20
    constant = a_constant(kind, value % limit)
    x = torch.tensor(numbers, dtype=torch.float64).div(16).to(dtype)
    y = kernel(x, constant)
    assert y.dtype == dtype
    taken = operand(op, constant, dtype).double().expand(3).tolist()
    values = [exactly(Fraction(a), Fraction(c)) for a, c in zip(x.double().tolist(), taken, strict=True)]
    wide = torch.promote_types(dtype, torch.float32)  # in which torch computes; then it rounds to the dtype
    wanted = torch.from_numpy(nearest(np.array(values, dtype=object), name_of(wide))).to(dtype)
    assert torch.equal(y, wanted)


@given(st.sampled_from(DTYPES), st.integers(1, 2**30))
def test_a_quotient_divides_by_the_operand(dtype: torch.dtype, value: int) -> None:
    """Only the numbers that torch rounds to itself can tell: of a divisor that is one, c / c = 1, bit for bit."""
    c = operand("div", value / 10, torch.float64 if dtype == torch.float64 else torch.float32)
    x = torch.ones(3, dtype=torch.float64)
    graph = trace(Function(lambda x: x / (value / 10)), x.to(dtype)[None])
    W = derive(graph).W
    assert W[0, 0] == 1 / c.double().item()


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("other", [*DTYPES, *INTEGERS], ids=name_of)
def test_a_dtype_holds_another_if_the_way_there_changes_nothing(dtype: torch.dtype, other: torch.dtype) -> None:
    if other.is_floating_point:
        limits = torch.finfo(other)
        extremes = [limits.max, limits.tiny, 1 + limits.eps, limits.tiny * limits.eps]
    elif other == torch.bool:
        extremes = [0, 1]
    else:
        limits = torch.iinfo(other)
        extremes = [limits.min, limits.max, limits.max - 1, 2**24 + 1 if limits.bits > 32 else 1]
    x = torch.tensor(extremes, dtype=other)
    there = x.to(dtype)
    if other.is_floating_point:
        same = there.double().tolist() == x.double().tolist()
    else:
        same = [int(v) if abs(v) < 2**63 else v for v in there.double().tolist()] == x.to(torch.int64).tolist()
    assert holds(dtype, other) == same


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_a_sum_that_does_not_swamp_keeps_a_32nd(dtype: torch.dtype) -> None:
    """The largest constant that counts as affine rounds no multiple of 1/16 away; the next one may round 1/32."""
    limit = 2.0**-5 / UNIT_ROUNDOFF[dtype]
    below = torch.tensor(limit, dtype=dtype)
    below = torch.nextafter(below, torch.zeros_like(below))
    assert not swamps(below, dtype)
    assert swamps(limit, dtype)
    assert swamps(-limit, dtype)
    x = torch.tensor(1 / 32, dtype=dtype)
    assert (below + x) - below == x
    assert (limit * 2 + x) - limit * 2 != x


MAGIC = {torch.float64: 1.5 * 2**52, torch.float32: 1.5 * 2**23, torch.float16: 1.5 * 2**10, torch.bfloat16: 1.5 * 2**7}


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("held", [False, True])
def test_rounding_by_a_magic_number_is_no_sum(dtype: torch.dtype, held: bool) -> None:
    c = torch.tensor(MAGIC[dtype], dtype=dtype) if held else MAGIC[dtype]
    x = torch.tensor([[0.3, 0.6, 1.7]], dtype=dtype)
    functions = [lambda x, c: (x + c) - c, lambda x, c: c - (c - x), lambda x, c: torch.add(x, c / 2, alpha=2) - c]
    for function in functions:
        rounding = Function(function, c) if held else Function(lambda x, f=function: f(x, c))
        assert rounding(x).double().tolist() == [[0.0, 1.0, 2.0]]
        assert "on purpose" in affine_obstacle(trace(rounding, x))[1]
        assert not certify(rounding, Function(lambda x: x), x, level="modular").ok


def shifted(kind: str, by: float, dtype: torch.dtype) -> nn.Module:
    """x -> x + by, by the bias of a layer that is the identity but for that."""
    made: dict[str, nn.Module] = {
        "linear": nn.Linear(3, 3),
        "convolution": nn.Sequential(nn.Unflatten(1, (3, 1)), nn.Conv1d(3, 3, 1), nn.Flatten()),
        "bias of a BatchNorm": nn.BatchNorm1d(3, eps=0.5),
        "mean of a BatchNorm": nn.BatchNorm1d(3, eps=0.5),
    }
    layer = made[kind].to(dtype).eval()
    for name, parameter in layer.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            parameter.data = torch.eye(3, dtype=dtype).reshape(parameter.shape)
        elif name.endswith("bias"):
            parameter.data.fill_(0 if kind.startswith("mean") else by)
    if isinstance(layer, nn.BatchNorm1d):
        layer.running_var.fill_(0.5)
    if kind.startswith("mean"):
        layer.running_mean.fill_(-by)
    return layer


@pytest.mark.parametrize("kind", ["linear", "convolution", "bias of a BatchNorm", "mean of a BatchNorm"])
def test_a_bias_rounds_as_a_constant_does(kind: str) -> None:
    magic, x = 1.5 * 2**23, torch.tensor([[0.5, 1.3, -2.7]])
    model = nn.Sequential(shifted(kind, magic, torch.float32), shifted("linear", -magic, torch.float32)).eval()
    assert torch.equal(model(x), x.round())
    found = collapse(model, x, measure=False).model
    assert torch.equal(found(x), model(x))
    assert certify(model, nn.Identity().eval(), x).verdict != "equal"
    small = nn.Sequential(shifted(kind, 8.0, torch.float32), shifted("linear", -8.0, torch.float32)).eval()
    assert certify(small, nn.Sequential(nn.Identity()).eval(), x).ok


def test_a_large_number_that_depends_on_a_free_size_is_found() -> None:
    def function(x: Tensor) -> Tensor:
        c = torch.full((x.shape[0], 1), 12582912.0)
        return (x + c) - c

    found = list(obstacles(trace(Function(function), torch.zeros(2, 3))))
    assert [call.op for call, _ in found] == ["add", "sub"]


REFUSED: dict[str, tuple[Callable[..., Any], torch.dtype, str]] = {
    "sum": (lambda x: x.sum(1, dtype=torch.bfloat16), torch.float32, "changes the dtype to bfloat16"),
    "wider sum": (lambda x: x.sum(1, dtype=torch.float64), torch.float32, "changes the dtype to float64"),
    "mean": (lambda x: x.mean(1, dtype=torch.float64), torch.float32, "changes the dtype"),
    "cumsum": (lambda x: x.cumsum(1, dtype=torch.float64), torch.float32, "changes the dtype"),
    "integers": (lambda x: x * 0.5, torch.int64, "rounds int64 to float32"),
    "quotient of integers": (lambda x: x / 2, torch.int32, "rounds int32 to float32"),
    "integers alone": (lambda x: x * 2, torch.int64, "its numbers are int64"),
    "halves": (lambda x: torch.div(x, 2, rounding_mode="trunc"), torch.float32, "it rounds"),
    "mask": (lambda x: x + torch.tensor([0.0, float("-inf"), 0.0]), torch.float32, "not finite"),
    "pad": (lambda x: nn.functional.pad(x, (1, 1), value=float("-inf")), torch.float32, "not finite"),
    "cat": (lambda x: torch.cat([x, torch.full((2, 1), float("nan"))], 1), torch.float32, "not finite"),
    "by zero": (lambda x: x / torch.tensor([1.0, 0.0, 1.0]), torch.float32, "not finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_rounds_before_it_computes_is_a_boundary(name: str) -> None:
    function, dtype, reason = REFUSED[name]
    x = torch.zeros(2, 3, dtype=dtype)
    (_, *others), found = list(trace(Function(function), x).calls), affine_obstacle(trace(Function(function), x))
    assert found is not None
    assert reason in found[1]
    assert len(others) < 3
    assert certify(Function(function), Function(function), x, level="modular").ok


def test_a_promotion_that_loses_nothing_is_affine() -> None:
    x, wide = torch.zeros(1, 3, dtype=torch.float32), torch.tensor([1.0, 2.0, 0.1], dtype=torch.float64)
    graph = trace(Function(lambda x, c: x * c, wide), x)
    assert graph.calls[0].dtype == torch.float64
    assert exact_map(graph).W.diagonal().tolist() == [1, 2, Fraction(0.1)]
    asked = trace(Function(lambda x: x.sum(1, dtype=torch.float32)), x)
    assert affine_obstacle(asked) is None


def test_a_constant_without_axes_does_not_widen_a_call() -> None:
    """float32 + 0-dimensional float64 is float32: torch adds the rounded constant."""
    x = torch.zeros(1, 1)
    one = Function(lambda x, c: x + c, torch.tensor(0.1, dtype=torch.float64))
    other = Function(lambda x, c: x + c, torch.tensor(0.1, dtype=torch.float32))
    assert certify(one, other, x, level="rational").ok
    assert exact_map(one, x).b.tolist() == [Fraction(float(np.float32(0.1)))]
    wide = Function(lambda x, c: x + c, torch.tensor([0.1], dtype=torch.float64))
    assert not certify(one, wide, x, level="modular").ok


def test_a_number_of_a_float64_section_is_not_rounded_to_float32() -> None:
    x = torch.zeros(1, 3)
    pair = [Function(lambda x, n=n: x.double() * 3 + n) for n in (16777217, 16777216)]
    assert pair[0](x)[0, 0] != pair[1](x)[0, 0]
    assert not certify(*pair, x, level="modular").ok
    assert certify(pair[0], pair[0], x, level="modular").ok


@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), st.sampled_from(["modular", "rational", "bounded"]))
def test_integer_constants_are_numbers_at_every_level(first: int, second: int, level: str) -> None:
    """Whether x c = x d is what float32 makes of c and d; a negative one has a magnitude, an odd one a height."""
    x, constants = torch.zeros(1, 2), [torch.tensor([n, n + 1]) for n in (first, second)]
    pair = [export(Function(lambda x, c: x * c, constant), x) for constant in constants]
    same = torch.equal(*(constant.float() for constant in constants))
    found = certify(*pair, x, level=level)
    if level != "bounded":
        assert found.ok == same
    assert certify(pair[0], pair[0], x, level=level).ok
    assert found.bound is None or found.bound >= 0
    assert exact_map(pair[0], x).W.diagonal().tolist() == [int(v) for v in constants[0].float().tolist()]


@pytest.mark.parametrize("level", ["modular", "rational"])
def test_integers_that_differ_by_a_prime_differ(level: str) -> None:
    pair = [Function(lambda x, c: x * c, torch.tensor([n])) for n in (-1, -1 - 67108859)]
    assert not certify(*pair, torch.zeros(1, 3).double(), level=level).ok


def test_what_leaves_the_range_is_said() -> None:
    half = torch.float16
    assert out_of_range(torch.tensor([65504.0, -65504.0, 0.0]), half) == ""
    assert out_of_range(torch.tensor([65520.0]), half) == "1 of 1 numbers is beyond float16 and becomes infinite"
    assert out_of_range(torch.tensor([1e-8, 2e-8, 1.0]), half) == "2 of 3 numbers are below float16 and become 0"
    assert out_of_range(torch.tensor([1e300]).double(), torch.bfloat16).endswith("becomes infinite")


@pytest.mark.parametrize("function, reason", [
    (lambda x: torch.atan2(x, x), "the sign of a zero"),
    (lambda x: 1 / x, "the sign of a zero"),
    (lambda x: x.abs() / x, "the sign of a zero"),
    (lambda x: torch.signbit(x), "the sign of a zero"),
    (lambda x: x.view(torch.int32), "its bits"),
    (lambda x: torch.as_strided(x, (2, 2), (1, 1)), "its strides"),
    (lambda x: x.relu(), ""),
    (lambda x: x.view(-1), ""),
    (lambda x: x / 2, ""),
])  # fmt: skip
def test_which_calls_see_more_than_the_number(function: Callable[[Tensor], Tensor], reason: str) -> None:
    graph = trace(Function(function), torch.ones(2, 3))
    found = {reads_bits(call, graph.dependent()) for call in graph.calls}
    assert found - {""} == {reason} - {""}


def test_a_nan_weight_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).eval()
    model[1].weight.data[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"1\.weight"):
        derive(model, torch.zeros(1, 2))
    with pytest.raises(NonFiniteError, match=r"1\.weight"):
        certify(model, model, torch.zeros(1, 2))
