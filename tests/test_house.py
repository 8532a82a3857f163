"""The rules of the house, read from the syntax tree of every file, and each rule shown to catch what it forbids.

ROOMS       the rooms of the package, foundation first; every import, inside functions too, goes down or stays inside
FRONT       the one convenience that reaches up: a recursion read off a torch model
TORCH_FREE  the rooms and files that do not import torch, nor the heavy parts of SymPy, at module level
rule        a function from (module, source) to a list of complaints; no complaint, no violation
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "algebraic_cnn"
ROOMS = ("files rings toeplitz algebra ir models ops derivation certification homotopy collapsing testing apps").split()
GROUND = ["errors", "extras"]
FRONT = {("algebra.recursion", "ir.trace"), ("algebra.recursion", "derivation.extract")}
TORCH_FREE = [*GROUND, *"files rings toeplitz algebra ops.layers apps.cli apps.plots".split()]
#: Files of these rooms that are torch modules, or compute with tensors alone; what imports them does so in a function.
OF_TORCH = ["algebra.forms", "rings.residues"]
LONGEST = 350
#: Files outside ops/ and ir/ that ask which op a call is, how often, and why they may.
ASK = {
    "certification.recheck.spelling": (3, "spells a network in the language of the extracted checker"),
    "collapsing.lifting": (4, "reads calls that we wrote ourselves"),
    "derivation.function_space": (1, "a sum of two values that both carry letters"),
}


def modules() -> Iterator[tuple[str, str]]:
    """Every file of the package as (dotted name inside the package, source)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts), path.read_text(encoding="utf-8")


def module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run on import: functions are not entered, nor what only a type checker reads."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop(0)
        yield statement
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            waiting += statement.orelse
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody"):
                waiting += getattr(statement, field, [])
            for handler in getattr(statement, "handlers", []):
                waiting += handler.body


def imported(statement: ast.stmt, module: str) -> list[str]:
    """The absolute dotted names that an import statement of that module loads."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if not isinstance(statement, ast.ImportFrom):
        return []
    home = ["algebraic_cnn", *module.split(".")]
    base = home[: len(home) - statement.level] if statement.level else []
    base += statement.module.split(".") if statement.module else []
    return [".".join([*base, alias.name]) for alias in statement.names]


def imports(tree: ast.Module, module: str) -> Iterator[tuple[str, int]]:
    """Every import of a file of the package, inside functions too, as (dotted name inside the package, line).

    What only a type checker reads does not count.
    """
    unread = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in unread:
            for name in imported(node, module):
                package, _, inside = name.partition(".")
                if package == "algebraic_cnn":
                    yield inside, node.lineno


def height(module: str) -> int | None:
    """The floor of a file, the ground first and the front door last; None where it has no room."""
    first = module.split(".")[0]
    if first in GROUND:
        return 0
    if first in ("__init__", "__main__"):
        return len(ROOMS) + 1
    return ROOMS.index(first) + 1 if first in ROOMS else None


def rooms_point_up(module: str, source: str) -> list[str]:
    """Imports go to a room below, or stay in their own; the front door is imported by nobody."""
    floor = height(module)
    if floor is None:
        return [f"{module} has no room: put it into one of {', '.join(ROOMS)}"]
    complaints = []
    for name, line in imports(ast.parse(source), module):
        target = 0 if name == "__version__" else height(name)
        above = target is None or target > floor or module == "__init__"
        if above and not any(module == here and (name + ".").startswith(there + ".") for here, there in FRONT):
            complaints.append(f"{module}:{line} imports {name}, which is not in a room below")
    return complaints


def free_of_torch(module: str) -> bool:
    """Whether a file must not load torch."""
    free = module == "__init__" or any((module + ".").startswith(name + ".") for name in TORCH_FREE)
    return free and module not in OF_TORCH


def without_torch(module: str, source: str) -> list[str]:
    """The algebra, the front door and the command line load neither torch nor SymPy on import."""
    if not free_of_torch(module):
        return []
    return [
        f"{module}:{statement.lineno} imports {name} at module level"
        for statement in module_level(ast.parse(source))
        for name in imported(statement, module)
        if name.split(".")[0] in ("torch", "sympy") or name.startswith(tuple(f"algebraic_cnn.{of}" for of in OF_TORCH))
    ]


def circles(sources: dict[str, str]) -> list[str]:
    """Files of a room that import each other in a circle, inside functions too; but for what brings torch."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        for name, _ in imports(ast.parse(source), module):
            homes = [other for other in sources if (name + ".").startswith(own(other) + ".")]
            target = max(homes, key=lambda home: len(own(home)), default="")
            if target and height(target) == height(module) and own(target) not in OF_TORCH:
                graph.setdefault(module, set()).add(target)
    for module in graph:
        graph[module].discard(module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def ops_asked(source: str) -> int:
    """How many expressions ask which ATen call a call is: by comparison, by the start of its name, in a table."""
    return sum(map(_asks, ast.walk(ast.parse(source))))


def _asks(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(map(_is_op, sides)) and any(_names_aten(side) for side in sides if not _is_op(side))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("startswith", "endswith") and _is_op(node.func.value):
            return any(map(_names_aten, node.args))
        return node.func.attr == "get" and _is_op(node.args[0]) and ast.unparse(node.func.value) not in _REGISTRY
    return isinstance(node, ast.Subscript) and _is_op(node.slice) and ast.unparse(node.value) not in _REGISTRY


_REGISTRY = ("OPS", "OTHERS")
_OF_FX = {"call_function", "placeholder", "output", "get_attr"}


def _is_op(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "op") or (isinstance(node, ast.Name) and node.id == "op")


def _names_aten(node: ast.AST) -> bool:
    """Whether it is a name of torch's own, or a table; not arithmetic on sizes, nor what torch.fx calls a kind."""
    words = [leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)]
    if words:
        return any(word not in _OF_FX and not word.startswith(("operator.", "sym_")) for word in words)
    return isinstance(node, ast.Name) and node.id.isupper() and node.id not in _REGISTRY


def own(module: str) -> str:
    """The dotted name by which a file is imported."""
    return module.removesuffix(".__init__")


_UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
_FORBIDDEN_CALLS = {"torch.save", "joblib.load", "joblib.dump", "eval", "exec", "breakpoint"}


def nothing_unpickled(module: str, source: str) -> list[str]:
    """No file is ever executed: no pickle in any of its disguises."""
    complaints = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = {name.split(".")[0] for name in imported(node, module)}
            complaints += [f"{module}:{node.lineno} imports {root}" for root in roots & _UNPICKLERS]
        elif isinstance(node, ast.Call):
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            called = ast.unparse(node.func)
            if called in _FORBIDDEN_CALLS or (called == "torch.load" and given.get("weights_only") != "True"):
                complaints.append(f"{module}:{node.lineno} calls {called}")
            elif given.get("allow_pickle", "False") != "False":
                complaints.append(f"{module}:{node.lineno} allows pickles")
    return complaints


def nothing_unfinished(module: str, source: str) -> list[str]:
    """No assert (it vanishes under -O and is no message), no placeholder, no print outside the command line."""
    complaints = [
        f"{module}:{number} says {word}"
        for number, line in enumerate(source.splitlines(), 1)
        for word in ("TO" + "DO", "FIX" + "ME", "X" * 3)
        if word in line
    ]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            complaints.append(f"{module}:{node.lineno} asserts")
        elif isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
            complaints.append(f"{module}:{node.lineno} leaves something unwritten")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "print" and not module.startswith("apps.cli"):
            complaints.append(f"{module}:{node.lineno} prints")
    return complaints


def one_idea(module: str, source: str) -> list[str]:
    """A file says what it is, is short, and has a name that means something."""
    tree = ast.parse(source)
    complaints = []
    if not ast.get_docstring(tree):
        complaints.append(f"{module} does not say what it is")
    if len(source.splitlines()) > LONGEST:
        complaints.append(f"{module} has {len(source.splitlines())} lines, more than {LONGEST}")
    if not any(name == "__future__.annotations" for item in tree.body for name in imported(item, module)):
        complaints.append(f"{module} lacks `from __future__ import annotations`")
    if module.split(".")[-1] in ("utils", "helpers", "misc", "common"):
        complaints.append(f"{module} is a name for no idea")
    return complaints


RULES: list[Callable[[str, str], list[str]]] = [
    rooms_point_up,
    without_torch,
    nothing_unpickled,
    nothing_unfinished,
    one_idea,
]


def test_no_room_has_a_circle() -> None:
    assert circles(dict(modules())) == []


@pytest.mark.parametrize("late", ["from .affine import AffineMap", "def f():\n    from .affine import AffineMap"])
def test_a_circle_is_noticed_inside_a_function_too(late: str) -> None:
    sources = {"algebra.affine": "from .matrices import product", "algebra.matrices": late}
    assert circles(sources)
    assert not circles(sources | {"algebra.matrices": ""})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(rule: Callable[[str, str], list[str]]) -> None:
    complaints = [complaint for module, source in modules() for complaint in rule(module, source)]
    assert not complaints, "\n".join(complaints)


def test_what_is_known_of_an_op_stands_in_its_entry() -> None:
    rooms = {module: source for module, source in modules() if module.split(".")[0] not in ("ops", "ir")}
    asking = {module: count for module, source in rooms.items() if (count := ops_asked(source))}
    assert asking == {module: count for module, (count, _) in ASK.items()}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('call.op == "relu"', 1),
        ('call.op in ("relu", "elu") or other.op != "neg"', 2),
        ('call.op in _TABLE and _TABLE[call.op] and _TABLE.get(op, "")', 3),
        ('call.op.startswith(("conv", "linear"))', 1),
        ('call.op in OPS and OPS[call.op].exact and node.op == "placeholder"', 0),
        ('call.op == "operator.getitem" or traits(call.op).view or one.op == other.op', 0),
    ],
)
def test_a_question_for_an_op_is_noticed(source: str, count: int) -> None:
    assert ops_asked(source) == count


CLEAN = '"""One idea."""\n\nfrom __future__ import annotations\n\n'
PLANTED = [
    (rooms_point_up, "toeplitz.geometry", "from algebraic_cnn.algebra.affine import AffineMap"),
    (rooms_point_up, "toeplitz.geometry", "from ..algebra.affine import AffineMap"),
    (rooms_point_up, "algebra.symbolic.build", "from ...ir.trace import trace"),
    (rooms_point_up, "algebra.affine", "import algebraic_cnn.collapsing"),
    (rooms_point_up, "algebra.affine", "from algebraic_cnn import AffineMap"),
    (rooms_point_up, "algebra.affine", "from ..ir.trace import trace"),
    (rooms_point_up, "algebra.affine", "try:\n    import algebraic_cnn.apps\nexcept ImportError:\n    pass"),
    (rooms_point_up, "algebra.affine", "def f():\n    from ..derivation.methods import derive"),
    (rooms_point_up, "__init__", "from algebraic_cnn.errors import ShapeError"),
    (rooms_point_up, "attic", "x = 1"),
    (rooms_point_up, "collapsing.cut", "from ..apps.plots import new_figure"),
    (without_torch, "rings.ring", "import torch"),
    (without_torch, "rings.ring", "from torch import nn"),
    (without_torch, "algebra.symbolic.words", "class A:\n    import sympy"),
    (without_torch, "apps.cli.options", "if True:\n    import torch.nn"),
    (without_torch, "algebra.affine", "from .forms import Dense"),
    (without_torch, "algebra.stencils.pieces", "import torch"),
    (nothing_unpickled, "data", "def f():\n    import pickle"),
    (nothing_unpickled, "data", "def f(path):\n    return torch.load(path)"),
    (nothing_unpickled, "data", "def f(path):\n    return torch.load(path, weights_only=False)"),
    (nothing_unpickled, "data", "def f(path):\n    return np.load(path, allow_pickle=True)"),
    (nothing_unpickled, "data", "def f(path, how):\n    return np.load(path, allow_pickle=how)"),
    (nothing_unpickled, "data", "def f(text):\n    return eval(text)"),
    (nothing_unfinished, "data", "def f(x):\n    assert x > 0"),
    (nothing_unfinished, "data", "def f(x):\n    raise NotImplementedError"),
    (nothing_unfinished, "data", "# TO" + "DO: more"),
    (nothing_unfinished, "data", "def f(x):\n    print(x)"),
    (one_idea, "data", "x = 1\n" * LONGEST),
    (one_idea, "toeplitz.utils", "x = 1"),
]


@pytest.mark.parametrize(("rule", "module", "violation"), PLANTED)
def test_each_rule_catches_what_it_forbids(rule: Callable, module: str, violation: str) -> None:
    assert rule(module, CLEAN + violation + "\n")


@pytest.mark.parametrize("source", ["from __future__ import annotations\n", '"""One idea."""\n'])
def test_a_file_without_its_head_is_noticed(source: str) -> None:
    assert one_idea("data", source)


ALLOWED = [
    "import numpy as np",
    "from algebraic_cnn.errors import ShapeError",
    "def f():\n    import torch\n    model.eval()",
    "if TYPE_CHECKING:\n    import torch\n    from algebraic_cnn.collapsing.pipeline import Report",
    "def f(path):\n    return np.load(path, allow_pickle=False)",
    "try:\n    x = 1\nexcept NotImplementedError:\n    x = 2",
]


@pytest.mark.parametrize("source", ALLOWED)
def test_no_rule_forbids_what_is_right(source: str) -> None:
    assert [complaint for rule in RULES for complaint in rule("toeplitz.geometry", CLEAN + source + "\n")] == []


def test_importing_the_algebra_and_the_command_line_leaves_torch_alone() -> None:
    free = [own(name) for name, _ in modules() if name != "__init__" and free_of_torch(name)]
    lines = ["import sys, algebraic_cnn", *(f"import algebraic_cnn.{name}" for name in free)]
    lines += ["print([name for name in ('torch', 'sympy', 'matplotlib') if name in sys.modules])"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", free


#: What a user finds at the top, beside dotfiles and what speaks of the project.
TOP = {"pyproject.toml", "README.md", "algebraic_cnn", "proofs", "tests", "notebooks", "Makefile"}
TOP |= {"CHANGELOG.md", "CITATION.cff", "LICENSE", "constraints.txt"}


def test_nothing_else_lies_at_the_top() -> None:
    root = PACKAGE.parent
    if not (root / ".git").exists():
        pytest.skip("not in a checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    names = {name.split("/")[0] for name in listed}
    assert {name for name in names if not name.startswith(".")} == TOP
