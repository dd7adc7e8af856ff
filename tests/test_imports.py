"""``import demjax`` stays light and shows what a user needs; imports run one way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import demjax

HEAVY = ("tensorflow", "tensorflow_datasets", "matplotlib", "sklearn", "tensorboardX", "orbax")


def test_imports_run_one_way():
    importlinter = pytest.importorskip("importlinter.cli")
    root = Path(__file__).parents[1]
    done = importlinter.lint_imports(str(root / "pyproject.toml"), no_cache=True)
    assert done == importlinter.EXIT_STATUS_SUCCESS


def test_importing_demjax_loads_nothing_heavy():
    read = f"[name for name in {HEAVY} if name in sys.modules]"
    program = f"import demjax, sys; demjax.simulate; print({read})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[]"


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_is_there_before_jax_is_read(words):
    program = f"""if True:
        import contextlib, sys
        from demjax.cli.main import main
        with contextlib.suppress(SystemExit):
            main({words})
        print(sorted({{"jax", "numpy", "scipy"}} & set(sys.modules)))
        """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout or "nothing").splitlines()[-1] == "[]", done.stderr


def test_a_registry_read_alone_knows_what_can_be_chosen():
    program = """if True:
        import demjax.registry as registry
        kinds = [one for one in vars(registry).values() if isinstance(one, registry.Registry)]
        print(len(kinds), min(len(one) for one in kinds), "demlearn" in registry.ALGORITHMS)
        """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["16", "2", "True"], done.stderr


def test_a_folder_of_the_same_name_is_not_taken_for_the_package(tmp_path):
    (tmp_path / "demjax").mkdir()  # as beside a clone, whose folder has this name
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = "import demjax; print(demjax.data.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "demjax.data", done.stderr


def test_every_name_that_demjax_promises_is_there():
    assert len(set(demjax.__all__)) == len(demjax.__all__)
    assert [name for name in demjax.__all__ if not hasattr(demjax, name)] == []


@pytest.mark.parametrize("name", ["no_such", "a.b", ".data", ""])
def test_other_names_are_not_there(name):
    assert not hasattr(demjax, name)


def test_threads_may_look_up_a_choice_at_once():
    program = """if True:
        import demjax, threading
        from demjax.registry import ALGORITHMS
        asked = [lambda: ALGORITHMS["fedavg"]] * 3
        gate, failed = threading.Barrier(len(asked)), []
        def ask(one):
            gate.wait()
            try:
                one()
            except Exception as error:
                failed.append(repr(error))
        threads = [threading.Thread(target=ask, args=[one]) for one in asked]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
        print(failed)
        """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_dir_shows_what_a_user_needs_and_no_inner_module():
    assert dir(demjax) == sorted(demjax.__all__)
    inner = {"base", "registry", "pytrees", "backend", "runs", "experiment", "cli", "simulation"}
    assert not inner & set(dir(demjax))


def test_the_root_holds_eight_modules_at_most():
    root = Path(demjax.__file__).parent
    assert len(list(root.glob("*.py"))) <= 8
