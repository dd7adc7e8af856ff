"""What the documentation tells readers to type works as written, but for the number of rounds."""

import re
from pathlib import Path

import jax.numpy as jnp

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tutorials_python_runs_from_top_to_bottom(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "tutorial.md").read_text("utf-8"), re.S)
    shown = [block for block in blocks if "(...)" not in block]
    assert len(shown) == len(blocks) - 1  # the one about devices only sketches
    names = {}
    for block in shown:
        fewer = block.replace("rounds=60", "rounds=1").replace("eval_every=60", "eval_every=1")
        exec(compile(fewer.replace("eval_every=10", "eval_every=1"), "tutorial.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("[0 1] [")
    assert jnp.all(names["history"].measures.hierarchy.size[-1, -1, 0] == 50)
    table = re.findall(r"\d\.\d+", printed[-2] + printed[-1])
    assert len(table) == 4  # two rates, two α


def test_every_page_of_the_api_names_modules_that_are_there():
    package = DOCS.parent
    names = [
        name
        for page in sorted((DOCS / "api").glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.M)
    ]
    assert len(names) == len(set(names)) > 30
    for name in names:
        path = package / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
