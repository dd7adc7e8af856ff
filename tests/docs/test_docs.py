"""What the documentation tells readers to type works as written, but for rounds and epochs."""

import importlib.util
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measured import CLIENTS, TASK

import demjax
from demjax.cli.main import main
from demjax.experiment.config import presets, read_toml
from demjax.experiment.experiment import resolve
from demjax.experiment.tables import TABLES
from demjax.registry import ALGORITHMS, OPTIMIZERS, Choice, Registry, kinds

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")])


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(name):
    return (DOCS / name).read_text("utf-8")


def blocks(name, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text(name), re.S | re.M)
    return [block for said, block in fenced if said == language]


def test_the_tutorials_python_runs_from_top_to_bottom(capsys):
    written = blocks("tutorial.md", "python")
    shown = [block for block in written if "(...)" not in block]
    assert len(shown) == len(written) - 2  # those about devices and Ctrl-C only sketch
    names = {}
    for block in shown:
        fewer = re.sub(r"\b(rounds|eval_every|epochs)=\d+", r"\1=1", block)
        exec(compile(fewer, "tutorial.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("[0 1] [")
    assert jnp.all(names["history"].measures.hierarchy.size[-1, -1, 0] == 50)
    table = re.findall(r"\d\.\d+", printed[-2] + printed[-1])
    assert len(table) == 4  # two rates, two α


def test_the_readmes_python_gives_the_numbers_that_stand_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it saves a figure
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", readme, re.S | re.M)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    said = re.search(r"C-SPE ([\d.]+), C-GEN ([\d.]+), Global ([\d.]+)", block).groups()
    (demo,) = re.findall(r"^\| DemLearn \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", readme, re.M)
    found = names["history"].measures
    for name, one, other in zip(("c_spe", "c_gen", "global_score"), said, demo, strict=True):
        last = float(getattr(found, name)[-1])
        # Rounding differs from machine to machine, and sixty rounds make something of it.
        assert last == pytest.approx(float(one), abs=0.02) == pytest.approx(float(other), abs=0.02)


def test_the_grouping_page_calls_demlearn_as_it_is():
    (block,) = blocks("grouping.md", "python")
    names = {"demjax": demjax, "local": demjax.LocalTraining(None, None)}
    assert isinstance(eval(block, names), demjax.Algorithm)


def test_a_file_of_ones_own_runs_from_the_shell(tmp_path, monkeypatch, capsys):
    source = blocks("your-own.md", "python")[0]
    (tmp_path / "mine.py").write_text(source, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEMJAX_CACHE", "")
    shell = blocks("your-own.md", "")[0].replace("\\\n", "").splitlines()
    helped, _, rings, again, compared = (line.split()[1:] for line in shell)
    assert main(helped) == 0
    assert "--head NAME,…" in capsys.readouterr().out
    assert main([{"20": "2"}.get(word, word) for word in rings]) == 0
    assert main(again) == 0
    capsys.readouterr()
    assert main(compared) == 0
    assert "rings-1" in capsys.readouterr().out
    (shown,) = blocks("your-own.md", "toml")
    (tmp_path / "shown.toml").write_text(shown, "utf-8")
    written = read_toml(tmp_path / "runs/rings/config.toml")
    shown = read_toml(tmp_path / "shown.toml")
    own = {name: str(tmp_path / shown[name]) for name in ("algorithm", "dataset", "model")}
    own["clients"] = written["clients"]
    assert {name: written[name] for name in shown} == shown | own


def test_measures_of_ones_own_are_taken():
    names = {"demjax": demjax, "task": TASK, "clients": CLIENTS, "key": jax.random.key(0)}
    names["algorithm"] = demjax.fedavg(demjax.local_training(TASK, "sgd"))
    exec(compile(blocks("your-own.md", "python")[1], "your-own.md", "exec"), names)
    assert names["generalization"].shape == (3,)
    called, so = np.array([0, 1, 1, 0]), np.array([1, 1, 1, 0])  # 2 hits of 2 and of 3: 0.8
    each = names["f1"].each(np.eye(2)[called], so)
    assert names["f1"].value(each.mean(axis=0)) == pytest.approx(0.8)


def test_the_shell_pages_configuration_is_one(tmp_path):
    (block,) = blocks("shell.md", "toml")
    (tmp_path / "mine.toml").write_text(block, "utf-8")
    assert resolve(read_toml(tmp_path / "mine.toml")).cut == "counts"


def test_every_page_of_the_api_names_modules_that_are_there(hooks):
    package = DOCS.parent
    names = [
        name
        for page in sorted((DOCS / "api").glob("*.md"))
        for name in re.findall(
            r"^::: (\S+)$", hooks.on_page_markdown(page.read_text("utf-8")), re.M
        )
    ]
    assert len(names) == len(set(names)) > 30
    for name in names:
        path = package / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_every_algorithm_is_in_the_docs_with_its_paper_and_its_module(hooks):
    page = hooks.on_page_markdown(text("api/algorithms.md"))
    for choice in ALGORITHMS.choices():
        (row,) = re.findall(rf"^\| `{choice.name}` \|.*$", page, re.M)
        assert f"| {choice.label} |" in row
        assert f"| {choice.facts['paper']} |" in row
        assert f"\n::: {choice.facts['module']}\n" in f"{page}\n"
    assert "`--prox` [0.5]" in page


def test_every_choice_of_every_kind_is_in_some_page(hooks):
    pages = "\n".join(hooks.on_page_markdown(page.read_text("utf-8")) for page in PAGES)
    assert "<!-- registry" not in pages
    assert "<!-- options" not in pages
    assert "<!-- modules" not in pages
    assert len(hooks.REGISTRIES) == sum(isinstance(one, Registry) for one in vars(kinds).values())
    for registry in hooks.REGISTRIES.values():
        for name in registry:
            assert re.search(rf"\b{name}\b", pages), name


def test_a_table_says_names_defaults_and_what_is_needed(hooks):
    assert hooks.choices_table("cuts").splitlines()[0] == (
        "| `--cut` | what it is | options [default] |"
    )
    assert "`--groups` [needed], `--min-size` [1] |" in hooks.choices_table("cuts")
    assert "`--filters` [32,32], `--hidden` [512], `--dropout` [0.4]" in hooks.choices_table(
        "models"
    )
    assert "`--momentum`, `--nesterov` [false] |" in hooks.choices_table("optimizers")
    assert "| `--rounds` | communication rounds | 100 |" in hooks.options_table("run")
    row = hooks.choice_row(OPTIMIZERS, Choice("a", lambda x="b": x, {"doc": "``c`` | d."}), ())
    assert row == ("`a`", "`c` \\| d.", "`--x` [b]")


def test_flags_in_the_docs_are_flags(hooks):
    known = {"--out", "--config", "--preset", "--devices", "--tensorboard", "--no-compile-cache"}
    known |= {"--help", "--image", "--fetch", "--version", "--only", "--format", "--no-figures"}
    known |= {"--names", "--colors", "--accelerator", "--json", "--no-largest"}
    known |= {"--algorithms", "--seeds", "--by", "--grid"}
    known |= {"--checkpoint-every", "--keep", "--resume"}
    known |= {"--distributed", "--coordinator", "--processes", "--process-id"}
    options = [one for table in TABLES.values() for one in hooks.options_of(table)]
    for registry in hooks.REGISTRIES.values():
        for choice in registry.choices():
            options += hooks.options_of(choice.make, registry.given)
    known |= {one.flag for one in options} | {
        "--server-" + one.flag[2:]
        for choice in OPTIMIZERS.choices()
        for one in hooks.options_of(choice.make)
    }
    known |= {"--head", "--width", "--measures", "--measures-every"}  # of mine.py, of measures
    for page in PAGES:
        if page.name in ("CHANGELOG.md", "CONTRIBUTING.md"):  # which tell of others
            continue
        for line in page.read_text("utf-8").replace("\\\n", "").splitlines():
            if "demjax " in line and line.lstrip("` ").startswith("demjax "):
                assert not set(re.findall(r"--[a-z][\w-]*", line)) - known, (page.name, line)


def test_no_line_of_code_runs_off_a_page():
    for page in [*PAGES, DOCS.parent / "README.md"]:
        for block in re.findall(r"^```.*?^```$", page.read_text("utf-8"), re.S | re.M):
            assert max(map(len, block.splitlines())) <= 88, (page.name, block)


def test_measured_results_stand_below_their_pages_headings(hooks):
    page = hooks.on_page_markdown(text("reproduce.md"))
    assert "(../benchmarks" not in page
    assert "\n#### After 100 rounds (published: 99)\n" in page  # under "### All numbers"
    assert page.count("\n# ") == 0
    assert "\n### Linkage\n" in hooks.on_page_markdown(text("benchmarks.md"))


def test_notebooks_are_pages_with_their_images_and_what_they_printed(hooks):
    page, images = hooks.notebook(hooks.NOTEBOOKS[0])
    assert page.startswith("# Quick start")
    assert len(images) == page.count("![Drawn") == 6
    assert all(content.startswith(b"\x89PNG") for content in images.values())
    assert "```text\nround  C-SPE  C-GEN  Global\n" in page
    site = (DOCS.parent / "mkdocs.yml").read_text("utf-8")
    assert all(f"notebooks/{path.stem}.md" in site for path in hooks.NOTEBOOKS)
    assert hooks.on_page_markdown("[a](../notebooks/01_x.ipynb)") == "[a](notebooks/01_x.md)"


def test_flags_stay_in_one_piece(hooks):
    html = hooks.on_page_content('<a title="--no-x">run --batch-size 3</a> a--b <code>--lr</code>')
    assert html == (
        '<a title="--no-x">run <span class="flag">--batch-size</span> 3</a> a--b '
        '<code><span class="flag">--lr</span></code>'
    )


def test_docstrings_are_markdown_not_restructured_text():
    for path in Path(demjax.__file__).parent.rglob("*.py"):
        assert not re.search(r"^ *={4,}|::$|^ *\.\. \w+::", path.read_text("utf-8"), re.M), path


def test_presets_that_the_docs_name_are_there():
    named = set(re.findall(r"`(published\w*|recommended)`", text("shell.md")))
    assert set(presets()) <= named
