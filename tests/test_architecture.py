"""The layout of the house: who may import whom, how long things may get, what may be imported when.

Every rule is a function from a source folder to a list of complaints. It is tried on `src`, where it must have none,
and on a made-up tree that breaks it, where it must have one. CONTRIBUTING.md has the same rules in prose.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"

# Lowest first. What is imported stands on an earlier line than what imports it.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("allocator", "errors", "lazy", "threads"),
    ("arrays", "coordinates", "files", "tables"),
    ("tensors",),
    ("transport", "geometry", "networks", "data"),
    ("losses", "model", "plots", "locating", "tracking"),
    ("training", "evaluation"),
    ("detector", "choosing", "redrawing", "studies", "export", "annotating", "bulk"),
    ("cli", "web"),
    ("__main__",),
)
LEVEL_OF = {package: level for level, packages in enumerate(LEVELS) for package in packages}
# These are for everybody; of what else lies below them, the packages of ONLY may use this much only.
FOUNDATION = {"allocator", "errors", "lazy", "threads", "arrays", "files", "coordinates", "tables", "tensors"}
ONLY = {
    "losses": {"transport", "geometry"},
    "model": {"networks", "geometry"},
    "plots": {"data"},
    "locating": {"data", "geometry"},
    "tracking": set(),
}
# The first three use a trained detector, never what trains it; the page is no part of the command line.
WITHOUT = {"export": {"training"}, "choosing": {"training"}, "redrawing": {"training"}, "web": {"cli"}}
# Here one neighbour may use another (a study a detector, a command the page), as long as it isn't mutual.
NEIGHBOURLY = {"detector", "choosing", "redrawing", "studies", "export", "annotating", "bulk", "cli", "web"}

PUBLIC = {"LandmarkDetector", "Landmarks"}  # `from brule import …` of these is an import of brule.detector
OPTIONAL = {"ot", "onnx", "onnxscript", "onnxruntime"}
OPTIONAL |= {"tensorboard", "starlette", "uvicorn", "h5py", "accelerate"}
SERVER = {"starlette", "uvicorn"}  # of the extra `web`, without which nobody imports the package of that name
OPTIONAL_MODULES = ("torch.onnx", "torch.utils.tensorboard")  # of torch, but they need an optional package
HEAVY = ("torch", "scipy", "ot", "onnx", "onnxruntime", "tensorboard")

MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 3
FOUR_POSITIONAL = {
    "geometric_regularizer": "two heatmaps and two sets of points, a signature that scripts rely on",
    "forward": "PyTorch itself calls an autograd function's, with its arguments in order",
}
MAX_FILE_LINES = 400
# The function itself; annotations, which may be large; what a process of its own reads, and what it writes.
READ_JSON = ("files.py", "values.py", "hdf5.py", "hdf5_arrays.py")


@dataclass(frozen=True)
class Import:
    """One imported thing: `brule.data.folder.find_images` for `from brule.data.folder import find_images`."""

    importer: str  # dotted module name
    target: str
    where: str  # file:line
    lazy: bool  # inside a function, or for the type checker alone

    @property
    def packages(self) -> tuple[str, str]:
        """The packages of brule at both ends; '' for brule itself and for what isn't of brule."""
        return package_of(self.importer), package_of(self.target)


def package_of(name: str) -> str:
    parts = name.split(".")
    if parts[0] != "brule" or len(parts) == 1:
        return ""
    return "detector" if parts[1] in PUBLIC else parts[1]


@cache
def modules(src: Path) -> tuple[tuple[str, Path, ast.Module], ...]:
    """Name, file and content of every module; read once for all rules."""
    found = []
    for path in sorted((src / "brule").rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, path, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return tuple(found)


def place(path: Path, node: ast.AST | None = None) -> str:
    where = "/".join(path.parts[path.parts.index("brule") :])
    return f"{where}:{node.lineno}" if node is not None else where  # type: ignore[attr-defined]


@cache
def all_imports(src: Path) -> list[Import]:
    found = []
    for name, path, tree in modules(src):
        inside = name if path.stem == "__init__" else name.rpartition(".")[0]  # what a relative import starts from
        for node, lazy in walk(tree):
            found += [Import(name, target, place(path, node), lazy) for target in targets(node, inside)]
    return found


def walk(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether it runs later than the import of its module, or never."""
    for child in ast.iter_child_nodes(node):
        yield child, lazy
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for part in child.body:
                yield part, True
                yield from walk(part, True)
            for part in child.orelse:
                yield part, lazy
                yield from walk(part, lazy)
        else:
            yield from walk(child, lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def targets(node: ast.AST, inside: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parts = inside.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
        module = ".".join(part for part in (base, node.module) if part)
        return [f"{module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return []


# The rules ---------------------------------------------------------------------------------------------------------


def unknown_packages(src: Path) -> list[str]:
    names = {package_of(name): path for name, path, _ in modules(src) if package_of(name)}
    return [
        f"{place(path)}: brule.{name} is in no level: give it one in tests/test_architecture.py and CONTRIBUTING.md"
        for name, path in names.items()
        if name not in LEVEL_OF
    ]


def imports_point_down(src: Path) -> list[str]:
    complaints = []
    for found in all_imports(src):
        importer, target = found.packages
        if found.target in ("brule", "brule.*"):
            complaints.append(f"{found.where}: `{found.target}` hides what is needed; import it by name")
        elif importer and target in LEVEL_OF and not may_import(importer, target):
            complaints.append(f"{found.where}: brule.{importer} must not import brule.{target}")
    return complaints


def may_import(importer: str, target: str) -> bool:
    if importer == target or importer not in LEVEL_OF:  # unknown ones have a rule of their own
        return True
    if importer in ONLY:
        return target in ONLY[importer] | FOUNDATION
    if target in WITHOUT.get(importer, ()):
        return False
    if LEVEL_OF[importer] == LEVEL_OF[target]:
        return importer in NEIGHBOURLY
    return LEVEL_OF[importer] > LEVEL_OF[target]


def the_root_is_lazy(src: Path) -> list[str]:
    return [
        f"{found.where}: brule/__init__.py must not import {found.target} before somebody asks for it"
        for found in all_imports(src)
        if found.importer == "brule" and package_of(found.target) and not found.lazy
    ]


def no_cycles(src: Path) -> list[str]:
    graph: dict[str, set[str]] = {}
    for found in all_imports(src):
        importer, target = found.packages
        if importer and target and importer != target:
            graph.setdefault(importer, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["packages import each other: " + " → ".join(reversed(error.args[1]))]
    return []


def optional_packages_are_imported_late(src: Path) -> list[str]:
    return [
        f"{found.where}: {found.target} belongs to an optional extra: import it inside the function that needs it"
        for found in all_imports(src)
        if not found.lazy
        and not (found.packages[0] == "web" and found.target.split(".")[0] in SERVER)
        and (found.target.split(".")[0] in OPTIONAL or f"{found.target}.".startswith(tuple(f"{m}." for m in OPTIONAL_MODULES)))
    ]


def commands_start_fast(src: Path) -> list[str]:
    """Import every module of the command line in a fresh interpreter and see what came along."""
    code = (
        "import importlib, pkgutil, sys, brule.cli as cli\n"
        "for found in pkgutil.walk_packages(cli.__path__, 'brule.cli.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    return [f"importing brule.cli imports {name}: do it inside the command" for name in fresh_python(src, code).split()]


def size_limits(src: Path) -> list[str]:
    complaints = []
    for _, path, tree in modules(src):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            complaints.append(f"{place(path)}: {lines} lines, {MAX_FILE_LINES} are allowed: split it by what it is about")
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (lines := length(node)) > MAX_FUNCTION_LINES:
                complaints.append(f"{place(path, node)}: {node.name} has {lines} lines, {MAX_FUNCTION_LINES} are allowed")
    return complaints


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last, the docstring not counted: nobody should save words there."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def few_positional_arguments(src: Path) -> list[str]:
    return [
        f"{place(path, node)}: {node.name} takes {count} positional arguments, {MAX_POSITIONAL} are allowed: the rest by name"
        for _, path, tree in modules(src)
        for node, method in functions(tree)
        if node.name not in FOUR_POSITIONAL and (count := n_positional(node, method)) > MAX_POSITIONAL
    ]


def functions(tree: ast.AST, method: bool = False) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Every function, and whether its first argument is `self` or `cls`."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child, method and not any(ast.unparse(one) == "staticmethod" for one in child.decorator_list)
        yield from functions(child, isinstance(child, ast.ClassDef))


def n_positional(function: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> int:
    return len(function.args.posonlyargs) + len(function.args.args) - method


def json_is_read_in_one_place(src: Path) -> list[str]:
    """Deep lists and long numbers raise what ``except ValueError`` doesn't catch; ``files.parse_json`` sees to them."""
    return [
        f"{place(path, node)}: json.{node.attr}: read JSON with brule.files.parse_json or read_json"
        for _, path, tree in modules(src)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load") and path.name not in READ_JSON
    ]


def docstrings(src: Path) -> list[str]:
    complaints = []
    for name, path, tree in modules(src):
        if ast.get_docstring(tree) is None and tree.body:
            complaints.append(f"{place(path)}: {name} has no docstring")
        for node in public_definitions(tree):
            if ast.get_docstring(node) is None:
                complaints.append(f"{place(path, node)}: {node.name} has no docstring")
    return complaints


def public_definitions(
    owner: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in owner.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if any(d.endswith(("overload", "override", ".setter")) for d in decorators):
            continue  # documented elsewhere, once
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node)


def fresh_python(src: Path, code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(src)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RULES: tuple[Callable[[Path], list[str]], ...] = (
    unknown_packages,
    imports_point_down,
    the_root_is_lazy,
    no_cycles,
    optional_packages_are_imported_late,
    commands_start_fast,
    size_limits,
    few_positional_arguments,
    json_is_read_in_one_place,
    docstrings,
)


# The rules on the real house ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule: Callable[[Path], list[str]]) -> None:
    complaints = rule(SRC)
    assert not complaints, "\n" + "\n".join(complaints)


def test_importing_brule_does_not_import_torch() -> None:
    assert fresh_python(SRC, "import brule, sys; print('torch' in sys.modules, brule.__version__)").startswith("False")


# The rules on made-up houses: can they fail? -----------------------------------------------------------------------

SOUND = {
    "__init__.py": "import typing\nif typing.TYPE_CHECKING:\n    from brule.detector import Landmarks\n",
    "errors.py": "",
    "coordinates.py": "import torch\nfrom brule import errors\n",
    "transport/__init__.py": "from .plan import transport_plan\n",
    "transport/plan.py": "def transport_plan():\n    'Plan.'\n    import ot\n",
    "networks/hourglass.py": "from brule import __version__\n",
    "losses.py": "from brule.transport import transport_plan\nfrom brule import coordinates\n",
    "training/steps.py": "from .. import losses\nfrom brule.training.loop import fit\n",
    "training/loop.py": "def fit():\n    'Fit.'\n    from torch.utils.tensorboard import SummaryWriter\n",
    "detector.py": "from brule.training import loop\nfrom brule.transport import transport_plan\n",
    "studies.py": "from brule import LandmarkDetector\n",
    "web/app.py": "def serve():\n    'Serve.'\n    from brule import detector\n",
    "cli/__init__.py": "import numpy\n",
    "cli/web.py": "def main():\n    'Run.'\n    from brule.web import app\n",
}
DOWN, ROOT, LATE = imports_point_down, the_root_is_lazy, optional_packages_are_imported_late
LONG = "    x = 1\n" * 60
VIOLATIONS = [
    (unknown_packages, {"utils.py": ""}, "brule.utils is in no level"),
    (unknown_packages, {"helpers/a.py": ""}, "brule.helpers is in no level"),
    (DOWN, {"errors.py": "import brule.coordinates"}, "errors.py:1: brule.errors must not import brule.coordinates"),
    (
        DOWN,
        {"data/a.py": "from brule.transport.plan import p"},
        "data/a.py:1: brule.data must not import brule.transport",
    ),
    (DOWN, {"geometry/a.py": "import brule.networks"}, "brule.geometry must not import brule.networks"),
    (DOWN, {"networks/a.py": "from ..data import b"}, "brule.networks must not import brule.data"),
    (DOWN, {"data/b/__init__.py": "from ... import model"}, "brule.data must not import brule.model"),
    (DOWN, {"losses.py": "import brule.networks.hourglass"}, "brule.losses must not import brule.networks"),
    (DOWN, {"losses.py": "import brule.data"}, "brule.losses must not import brule.data"),
    (DOWN, {"model.py": "from brule import losses"}, "brule.model must not import brule.losses"),
    (
        DOWN,
        {"plots.py": "def f():\n    from brule.model import M"},
        "plots.py:2: brule.plots must not import brule.model",
    ),
    (DOWN, {"web/a.py": "import brule.cli"}, "brule.web must not import brule.cli"),
    (DOWN, {"training/a.py": "import brule.evaluation"}, "brule.training must not import brule.evaluation"),
    (DOWN, {"evaluation/a.py": "import brule.training"}, "brule.evaluation must not import brule.training"),
    (DOWN, {"training/a.py": "from brule import Landmarks"}, "brule.training must not import brule.detector"),
    (DOWN, {"redrawing.py": "import brule.training"}, "brule.redrawing must not import brule.training"),
    (DOWN, {"export/a.py": "from brule.training import loop"}, "brule.export must not import brule.training"),
    (DOWN, {"choosing/a.py": "from brule.training import loop"}, "brule.choosing must not import brule.training"),
    (DOWN, {"detector.py": "import brule.cli.train"}, "brule.detector must not import brule.cli"),
    (DOWN, {"data/a.py": "m = import_module('brule.model')"}, "brule.data must not import brule.model"),
    (DOWN, {"data/a.py": "import brule"}, "`brule` hides what is needed"),
    (ROOT, {"__init__.py": "from brule.detector import Landmarks"}, "must not import brule.detector.Landmarks"),
    (ROOT, {"__init__.py": "from . import errors"}, "must not import brule.errors"),
    (no_cycles, {"data/a.py": "import brule.plots", "plots.py": "import brule.data"}, "packages import each other: "),
    (no_cycles, {"cli/a.py": "import brule.web", "web/b.py": "def f():\n    from brule import cli"}, "each other: "),
    (LATE, {"plots.py": "import onnx.helper as o"}, "plots.py:1: onnx.helper belongs to an optional"),
    (LATE, {"plots.py": "try:\n    import ot\nexcept ImportError: ot = None"}, "plots.py:2: ot belongs"),
    (LATE, {"export.py": "class A:\n    from onnx import load"}, "export.py:2: onnx.load belongs"),
    (LATE, {"training/a.py": "from torch.utils import tensorboard"}, "torch.utils.tensorboard belongs"),
    (LATE, {"cli/a.py": "import starlette"}, "starlette belongs"),
    (LATE, {"web/a.py": "import onnx"}, "onnx belongs"),
    (commands_start_fast, {"cli/__init__.py": "import torch"}, "imports torch"),
    (commands_start_fast, {"cli/train.py": "from brule.coordinates import torch"}, "imports torch"),
    (size_limits, {"plots.py": "\n" * 401}, "plots.py: 401 lines"),
    (size_limits, {"plots.py": "def f():\n" + LONG}, "plots.py:1: f has 61 lines"),
    (size_limits, {"plots.py": "class A:\n  async def f(self):\n" + LONG}, "plots.py:2: f has 61 lines"),
    (few_positional_arguments, {"plots.py": "def f(a, b, c, d): pass"}, "plots.py:1: f takes 4 positional arguments"),
    (few_positional_arguments, {"plots.py": "def f(a, b, /, c, d=1, *, e): pass"}, "f takes 4 positional"),
    (few_positional_arguments, {"plots.py": "class A:\n  async def f(self, b, c, d, e): pass"}, "f takes 4 positional"),
    (few_positional_arguments, {"plots.py": "class A:\n  @staticmethod\n  def f(a, b, c, d): pass"}, "f takes 4"),
    (few_positional_arguments, {"plots.py": "def g():\n  def f(a, b, c, d): pass"}, "plots.py:2: f takes 4"),
    (json_is_read_in_one_place, {"plots.py": "import json\n\nx = json.loads('1')"}, "plots.py:3: json.loads: read JSON with"),
    (docstrings, {"plots.py": "x = 1"}, "brule.plots has no docstring"),
    (docstrings, {"plots.py": "'A.'\ndef f(): pass"}, "plots.py:2: f has no docstring"),
    (docstrings, {"plots.py": "'A.'\nclass A:\n    'B.'\n    def f(self): pass"}, "plots.py:4: f has no docstring"),
]


@pytest.fixture
def build(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes a source folder; a stand-in for torch lies in it, so that importing it costs nothing."""

    def write(files: dict[str, str]) -> Path:
        (tmp_path / "torch.py").write_text("")
        for name, text in files.items():
            path = tmp_path / "brule" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule is not docstrings], ids=lambda rule: rule.__name__)
def test_sound_house_passes(rule: Callable[[Path], list[str]], build: Callable[[dict[str, str]], Path]) -> None:
    assert rule(build(SOUND)) == []


def test_documented_module_passes(build: Callable[[dict[str, str]], Path]) -> None:
    text = "'A.'\nclass _B:\n    def f(self): pass\ndef g():\n    'C.'\n    def h(): pass\n"
    assert docstrings(build({"__init__.py": "", "plots.py": text})) == []


def test_self_and_what_is_given_by_name_are_not_positional(build: Callable[[dict[str, str]], Path]) -> None:
    text = "def f(a, b, c, *, d): pass\nclass A:\n    def f(self, b, c, d, *, e): pass\n"
    text += "    @classmethod\n    def g(cls, b, c, d): pass\n"
    assert few_positional_arguments(build({"plots.py": text})) == []


def test_a_docstring_does_not_count_as_length(build: Callable[[dict[str, str]], Path]) -> None:
    text = "def f():\n    '''A.\n" + "\n" * 50 + "    '''\n" + "    x = 1\n" * 59
    assert size_limits(build({"plots.py": text})) == []


@pytest.mark.parametrize(("rule", "files", "complaint"), VIOLATIONS)
def test_violation_is_caught(
    rule: Callable[[Path], list[str]],
    files: dict[str, str],
    complaint: str,
    build: Callable[[dict[str, str]], Path],
) -> None:
    complaints = rule(build({**SOUND, **files}))
    assert any(complaint in found for found in complaints), complaints
