"""Who may import whom, and that ``import demjax`` stays light.

Imports run one way: base ← task, hierarchy, linkage ← local, metrics ← algorithms ← simulate ←
everything else ← cli; models and data know only base.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import demjax

HEAVY = ("tensorflow", "tensorflow_datasets", "matplotlib", "sklearn", "tensorboardX")
INNER = {
    "base": 0,
    "cohorts": 0,
    "spread": 0,
    "task": 1,
    "hierarchy": 1,
    "aggregation": 1,
    "guidance": 1,
    "linkage": 1,
    "local": 2,
    "metrics": 2,
    "pooled": 2,
    "structure": 2,
    "algorithms": 3,
    "simulate": 4,
    "sweep": 4,
}
ASIDE = ("models", "data")  # know only base, and are known outside only
OUTSIDE = 5  # experiment, runs, plots and whatever else there will be
EDGE = {"cli": 6, "__main__": 7}
ROOT = "demjax"


def modules_of(package):
    """``{dotted name: file}`` of a package on disk."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = [ROOT, *file.relative_to(package).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(name, file, modules):
    """The modules of the package that a module imports, anywhere in it."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == ROOT)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base.split(".")[0] == ROOT:
                # "from package import module" imports the module, all else the package itself
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    yield inner if inner in modules else base


def part(module):
    return module.split(".")[1] if "." in module else ""


def layer(name):
    return INNER.get(name, EDGE.get(name, OUTSIDE))


def allowed(importer, imported):
    """Whether the design lets one module of the package import another."""
    mine, other = part(importer), part(imported)
    if not mine:
        return other not in EDGE
    if mine == "algorithms" and other == "algorithms":
        return importer == f"{ROOT}.algorithms"
    if not other:
        return layer(mine) >= OUTSIDE and mine not in ASIDE
    if mine in ASIDE:
        return other in (mine, "base")
    if other in ASIDE:
        return layer(mine) >= OUTSIDE
    return mine == other or layer(other) <= layer(mine)


def violations(package):
    modules = modules_of(package)
    graph = {
        name: {other for other in imports_of(name, file, modules) if other != name}
        for name, file in modules.items()
    }
    wrong = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in sorted(others)
        if not allowed(name, other)
    ]
    try:
        # the package itself is in no circle: it imports everything and inner modules not it
        inner = {name: others - {ROOT} for name, others in graph.items() if name != ROOT}
        TopologicalSorter(inner).prepare()
    except CycleError as error:
        wrong.append(f"a circle: {' ← '.join(error.args[1])}")
    return wrong


def test_imports_run_one_way():
    package = Path(demjax.__file__).parent
    assert len(modules_of(package)) > 10
    assert violations(package) == []


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("base", "import demjax.task", "demjax.base imports demjax.task"),
        ("task", "from demjax.local import train", "demjax.task imports demjax.local"),
        ("local", "from demjax import metrics, simulate", "demjax.local imports demjax.simulate"),
        ("metrics", "from .algorithms import x", "demjax.metrics imports demjax.algorithms"),
        ("simulate", "import demjax.runs as r", "demjax.simulate imports demjax.runs"),
        ("simulate", "from demjax import data", "demjax.simulate imports demjax.data"),
        ("runs", "def later():\n    from demjax.cli import main", "demjax.runs imports demjax.cli"),
        ("base", "from demjax import __version__", "demjax.base imports demjax"),
        ("models.cnn", "from demjax.task import x", "demjax.models.cnn imports demjax.task"),
        ("data.idx", "from .. import runs", "demjax.data.idx imports demjax.runs"),
        (
            "algorithms.fedprox",
            "from demjax.algorithms.fedavg import fedavg",
            "demjax.algorithms.fedprox imports demjax.algorithms.fedavg",
        ),
        (
            "algorithms.fedprox",
            "from demjax.algorithms import fedavg",
            "demjax.algorithms.fedprox imports demjax.algorithms.fedavg",
        ),
        ("hierarchy", "from demjax.linkage import x", "a circle"),
        ("report", "from demjax.cli import main", "demjax.report imports demjax.cli"),
        ("metrics", "from demjax.report import x", "demjax.metrics imports demjax.report"),
    ],
)
def test_an_import_the_wrong_way_is_seen(tmp_path, module, line, complaint):
    contents = {
        "base": "import jax",
        "task": "from demjax.base import Task",
        "hierarchy": "from .base import Hierarchy",
        "linkage": "from demjax.hierarchy import from_groups",
        "local": "from demjax import base",
        "metrics": "import demjax.hierarchy",
        "algorithms.__init__": "from demjax.algorithms.fedavg import fedavg",
        "algorithms.fedavg": "from demjax import hierarchy as tree\nfrom demjax.local import x",
        "algorithms.fedprox": "from demjax.local import x",
        "simulate": "from demjax.metrics import measure",
        "data.__init__": "from demjax.data.idx import x",
        "data.idx": "from demjax.base import ClientData",
        "models.__init__": "from demjax.models.cnn import x",
        "models.cnn": "import jax",
        "runs": "from demjax import simulate, data, __version__",
        "report": "from demjax.runs import x",
        "cli": "from demjax.runs import x\nfrom demjax.report import x",
        "__main__": "from demjax.cli import main",
        "__init__": "from demjax import data, hierarchy\nfrom demjax.simulate import simulate",
    }
    contents |= {"__init__": contents["__init__"] + "\n__version__ = '0'"}
    for name, text in contents.items():
        file = (tmp_path / name.replace(".", "/")).with_suffix(".py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert violations(tmp_path) == []
    file = (tmp_path / module.replace(".", "/")).with_suffix(".py")
    file.write_text(f"{file.read_text()}\n{line}\n")
    found = violations(tmp_path)
    assert complaint in [one.partition(":")[0] for one in found], found


def test_importing_demjax_loads_nothing_heavy():
    program = f"import demjax, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[]"


def test_every_name_that_demjax_promises_is_there():
    assert len(set(demjax.__all__)) == len(demjax.__all__)
    assert [name for name in demjax.__all__ if not hasattr(demjax, name)] == []
