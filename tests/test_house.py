"""The rules of the house, read from the syntax tree of every file, and each rule shown to catch what it forbids.

FLOORS      the files of the package, foundation first; a module-level import points to an earlier one only
ALGEBRA     the floors that do not import torch, nor the heavy parts of SymPy, at module level
rule        a function from (module, source) to a list of complaints; no complaint, no violation
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "algebraic_cnn"
ALGEBRA = [
    *"errors extras limits files plain_json archives npz arrays arguments".split(),
    *"geometry dyadic prime_field primes crt ring matrices pattern toeplitz affine".split(),
    *"layers stencils stencils.lattice stencils.stencil stencils.kernels stencils.phases stencils.zeros".split(),
    *"stencils.pieces stencils.moves stencils.circular stencils.folding recursion symbolic assembly".split(),
]
FLOORS = [
    *ALGEBRA,
    *"image_sizes graph inplace refusal resizing dynamic_shapes batch_sizes histories agreement".split(),
    *"inlining nodes exporting trace".split(),
    *"programs.expressions programs.texts programs.declared programs.payloads programs".split(),
    *"onnx_files onnx_operators onnx_reading model_files precision step".split(),
    *"interpolation rules sums evaluate residues watched".split(),
    *"samples magnitudes magnitudes.bounds magnitudes.heights magnitudes.norms magnitudes.gains".split(),
    *"reading axes extract derivation exact".split(),
    *"regions regions.source regions.mixing regions.spacing regions.resampling regions.atoms regions.spelling".split(),
    *"regions.junctions regions.cost regions.drafting regions.realisation regions.dense regions.writing".split(),
    *"regions.rings regions.elsewhere regions.lifting regions.whole regions.colouring regions.bordering".split(),
    *"regions.plans regions.cut regions.averages regions.forks regions.addends regions.kept".split(),
    *"regions.rewriting regions.region regions.tangles regions.emission forms".split(),
    *"certificates certificates.canonical certificates.fingerprints certificates.certificate".split(),
    *"certificates.rounding certificates.check certificates.trials".split(),
    *"certificates.hoisting certificates.sized certificates.seams certificates.matching".split(),
    *"certificates.interface certificates.identity certificates.parts certificates.box certificates.bounded".split(),
    *"certificates.accuracy certificates.modular certificates.automatic certificates.rational certification".split(),
    *"pinning linear_region".split(),
    *"regions.warrant regions.measurement report collapsed any_size collapsing".split(),
    *"models data records checkpoint overruns training homotopy testing plots report_figure bench experiments".split(),
    *"cli __main__".split(),
]
LONGEST = 350


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


def floor_of(module: str) -> str:
    """The floor of a file: its own where it has one, else that of its package."""
    package, *inside = module.split(".")
    own = ".".join([package, *inside[:1]])
    return own if own in FLOORS else package


def floors_point_up(module: str, source: str) -> list[str]:
    """Imports of the package's own files go to an earlier floor."""
    floor = floor_of(module)
    if floor not in [*FLOORS, "__init__"]:
        return [f"{module} has no floor: put it into FLOORS"]
    height = len(FLOORS) if floor == "__init__" else FLOORS.index(floor)
    complaints = []
    for statement in module_level(ast.parse(source)):
        for name in imported(statement, module):
            package, *inside = name.split(".")
            target = floor_of(".".join(inside)) if inside else "__init__"
            if package != "algebraic_cnn" or target in (floor, "__version__"):
                continue
            if floor == "__init__" or target not in FLOORS or FLOORS.index(target) >= height:
                complaints.append(f"{module}:{statement.lineno} imports {name}, which is not on an earlier floor")
    return complaints


def algebra_without_torch(module: str, source: str) -> list[str]:
    """The algebra files, the front door and the command line load neither torch nor SymPy on import."""
    if floor_of(module) not in [*ALGEBRA, "__init__", "cli", "__main__", "plots"]:
        return []
    return [
        f"{module}:{statement.lineno} imports {name} at module level"
        for statement in module_level(ast.parse(source))
        for name in imported(statement, module)
        if name.split(".")[0] in ("torch", "sympy")
    ]


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
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "print" and module.split(".")[0] != "cli":
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
    floors_point_up,
    algebra_without_torch,
    nothing_unpickled,
    nothing_unfinished,
    one_idea,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(rule: Callable[[str, str], list[str]]) -> None:
    complaints = [complaint for module, source in modules() for complaint in rule(module, source)]
    assert not complaints, "\n".join(complaints)


CLEAN = '"""One idea."""\n\nfrom __future__ import annotations\n\n'
PLANTED = [
    (floors_point_up, "geometry", "from algebraic_cnn.algebra.affine import AffineMap"),
    (floors_point_up, "geometry", "from .affine import AffineMap"),
    (floors_point_up, "toeplitz.build", "from ..affine import AffineMap"),
    (floors_point_up, "affine", "import algebraic_cnn.collapse"),
    (floors_point_up, "affine", "from algebraic_cnn import AffineMap"),
    (floors_point_up, "affine", "try:\n    import algebraic_cnn.apps.cli\nexcept ImportError:\n    pass"),
    (floors_point_up, "__init__", "from algebraic_cnn.errors import ShapeError"),
    (floors_point_up, "attic", "x = 1"),
    (algebra_without_torch, "ring", "import torch"),
    (algebra_without_torch, "ring", "from torch import nn"),
    (algebra_without_torch, "symbolic", "class A:\n    import sympy"),
    (algebra_without_torch, "cli", "if True:\n    import torch.nn"),
    (floors_point_up, "stencils.lattice", "from .stencil import Stencil"),
    (floors_point_up, "regions.cut", "from ..collapsing import collapse"),
    (algebra_without_torch, "stencils.lattice", "import torch"),
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
    "def f():\n    import torch\n    from algebraic_cnn import collapse\n    model.eval()",
    "if TYPE_CHECKING:\n    import torch\n    from algebraic_cnn.collapsing.pipeline import Report",
    "def f(path):\n    return np.load(path, allow_pickle=False)",
    "try:\n    x = 1\nexcept NotImplementedError:\n    x = 2",
]


@pytest.mark.parametrize("source", ALLOWED)
def test_no_rule_forbids_what_is_right(source: str) -> None:
    assert [complaint for rule in RULES for complaint in rule("geometry", CLEAN + source + "\n")] == []


def test_importing_the_algebra_and_the_command_line_leaves_torch_alone() -> None:
    present = [*ALGEBRA, "cli"]
    lines = ["import sys, algebraic_cnn", *(f"import algebraic_cnn.{name}" for name in present)]
    lines += ["print([name for name in ('torch', 'sympy', 'matplotlib') if name in sys.modules])"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", present
