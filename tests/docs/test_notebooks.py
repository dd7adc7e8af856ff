"""The notebooks run from top to bottom, and hold what they showed when they last did.

Their code cells are run here, in one namespace each, without a kernel: nothing has to be installed
or started for it, imports are paid for once, and a warning is an error as in all tests.
"""

import json
import linecache
import re
from pathlib import Path

import pytest

matplotlib = pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PLOTTING = re.compile(r"\bplt\.subplots\(|\bdemjax\.plots\.")
PLACE = re.compile(r"(?<![\w.:/])/(home|root|tmp|Users|work|usr|opt|var|content)\b|\b[A-Z]:\\\\")
LARGEST = 400_000  # bytes

each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def code_cells(file):
    cells = json.loads(file.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def run(file):
    """Run all code cells but lines for IPython; tracebacks show the line that failed."""
    namespace = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(file), 1):
        text = "\n".join(
            re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source(cell).splitlines()
        )
        name = f"<{file.stem}, code cell {number}>"
        linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
        exec(compile(text, name, "exec"), namespace)
    return namespace


@pytest.fixture
def quick(monkeypatch):
    """Few clients and rounds, and figures that are drawn nowhere."""
    import matplotlib.pyplot as plt

    monkeypatch.setenv("DEMJAX_QUICK", "1")
    with matplotlib.rc_context():
        plt.switch_backend("agg")
        yield
    plt.close("all")


def test_there_are_six():
    assert [file.name[:2] for file in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@each
def test_it_runs_from_top_to_bottom(file, quick, monkeypatch):
    monkeypatch.chdir(FOLDER)
    assert run(file)["QUICK"]


def test_the_scaling_study_runs_where_the_measured_files_are_missing(quick, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace = run(FOLDER / "04_scaling_study.ipynb")
    assert namespace["rounds"] == namespace["clustering"] == []
    assert list(namespace["laws"]) == ["linear, live"]


@each
def test_it_was_run_once_in_order_before_it_was_committed(file):
    cells = code_cells(file)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


@each
def test_every_cell_that_draws_holds_its_image(file):
    drawing = [cell for cell in code_cells(file) if PLOTTING.search(source(cell))]
    assert drawing
    for cell in drawing:
        kinds = {kind for output in cell["outputs"] for kind in output.get("data", ())}
        assert kinds & {"image/png", "image/svg+xml"}, source(cell)


@each
def test_it_is_small_and_names_no_place_on_a_disk(file):
    text = file.read_text("utf-8")
    assert len(text) < LARGEST
    without_images = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not PLACE.search(without_images)


@each
def test_it_installs_demjax_where_it_is_missing_and_is_quick_when_asked(file):
    first = source(code_cells(file)[0])
    assert "%pip install" in first
    assert 'QUICK = bool(os.environ.get("DEMJAX_QUICK"))' in first
