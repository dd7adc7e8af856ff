"""Choices of a user's own file: found as those built in, and every mistake told in a sentence."""

import pytest

from demjax.registry import ALGORITHMS, DATASETS, MODELS, PARTITIONS, expand

MINE = '''
from typing import Annotated
import flax.linen as nn
from demjax import fedprox
from demjax.registry import Range

number = 3


def mine(local, *, prox: Annotated[float, Range(0, 1)] = 0.25, rounds_more: int = 2):
    """Mine.

    Args:
        prox: how near
    """
    return fedprox(local, prox=prox)


def bare(local, prox=0.5):
    return prox


def without(*, prox=0.5):
    return prox


def wanting(local, teacher):
    return local


def failing(local):
    return {}["missing"]


def refusing(local):
    raise ValueError("Mine cannot be made today.")


class Net(nn.Module):
    """A network.

    Attributes:
        classes: Number of labels.
        width: Of the hidden layer.
    """

    classes: int
    width: Annotated[int, Range(1)] = 8


class Unable(nn.Module):
    width: int = 8


def examples(*, count: int = 20):
    return count
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("user") / "my file.py"
    path.write_text(MINE)
    return path


def test_a_function_is_a_choice_with_its_options(file):
    choice = ALGORITHMS.find(f"{file}:mine")
    options = expand(choice.make, {}, given=ALGORITHMS.given, table="algorithm")
    assert list(options) == ["prox", "rounds_more"]
    assert options["prox"].help == "how near"
    assert (options["prox"].default, options["prox"].range.words) == (0.25, "0 to 1")
    assert (choice.label, choice.summary) == ("mine", "Mine.")
    assert choice.name == f"{file}:mine"
    assert choice.facts["paper"] == str(file)
    with pytest.raises(ValueError, match="mine needs prox as 0 to 1, but 2 was given"):
        choice.make("local", prox=2)
    with pytest.raises(ValueError, match="mine takes no 'pox'; perhaps 'prox' was meant"):
        choice.make("local", pox=0.5)


def test_defaults_are_enough_where_there_are_no_annotations(file):
    choice = ALGORITHMS.find(f"{file}:bare")
    (option,) = expand(choice.make, {}, given=ALGORITHMS.given).values()
    assert (option.name, option.single, option.default) == ("prox", float, 0.5)
    assert choice.make("local", prox=0.75) == 0.75


def test_a_class_is_a_choice_of_models(file):
    choice = MODELS.find(f"{file}:Net")
    (option,) = expand(choice.make, {}, given=MODELS.given).values()
    assert (option.name, option.default) == ("width", 8)
    made = choice.make(classes=3, width=5)
    assert (type(made).__name__, made.classes, made.width) == ("Net", 3, 5)


def test_a_data_set_needs_no_argument(file):
    assert DATASETS.find(f"{file}:examples").make(count=3) == 3


def test_a_file_is_run_once(tmp_path):
    path, log = tmp_path / "counted.py", tmp_path / "log"
    path.write_text(
        f"with open({str(log)!r}, 'a') as f:\n    f.write('x')\n"
        "def mine(local):\n    return local\n\ndef other(local):\n    return local\n"
    )
    for name in ("mine", "other", "mine"):
        ALGORITHMS.find(f"{path}:{name}")
    assert log.read_text() == "x"


@pytest.mark.parametrize(
    ("registry", "name", "words"),
    [
        (ALGORITHMS, "mien", "has no algorithm 'mien'; perhaps 'mine' was meant, and possible are"),
        (
            ALGORITHMS,
            "number",
            "'number' in .* is no function, but int; possible is one that",
        ),
        (
            ALGORITHMS,
            "without",
            r"takes no argument 'local', .*is without\(local, \*, …\)",
        ),
        (MODELS, "Unable", r"takes no argument 'classes', which each model is given"),
        (
            ALGORITHMS,
            "wanting",
            "needs the argument 'teacher', which nobody gives; possible is",
        ),
        (PARTITIONS, "wanting", "needs the argument 'local', which nobody gives"),
    ],
)
def test_what_cannot_be_a_choice_is_told(registry, name, words, file):
    with pytest.raises(ValueError, match=words) as error:
        registry.find(f"{file}:{name}")
    assert "my file.py" in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nowhere_at_all", r"cannot be imported on line 1 \(ModuleNotFoundError: No module"),
        ("def mine(:", r"cannot be imported \(SyntaxError: "),
        ("raise SystemExit(3)", r"cannot be imported on line 1 \(SystemExit: 3\)"),
        ("raise RuntimeError", r"cannot be imported on line 1 \(RuntimeError\)\.$"),
        ("assert False, 'first\\nsecond'", r"\(AssertionError: first\)\.$"),
    ],
)
def test_a_file_that_fails_on_import_is_one_sentence_and_can_be_mended(text, words, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        ALGORITHMS.find(f"{path}:mine")
    assert "\n" not in str(error.value)
    path.write_text("def mine(local):\n    return local\n# mended\n")
    assert ALGORITHMS.find(f"{path}:mine").make(1) == 1


def test_a_file_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"names the file .*nowhere\.py, which does not exist"):
        ALGORITHMS.find(f"{tmp_path / 'nowhere.py'}:mine")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(ValueError, match="does not exist"):
        ALGORITHMS.find(f"{tmp_path / 'folder.py'}:mine")


def test_what_fails_when_it_is_made_is_told(file):
    with pytest.raises(
        ValueError, match=r"'failing' in .* failed on line \d+ \(KeyError: 'missing'\)\.$"
    ):
        ALGORITHMS.find(f"{file}:failing").make("local")
    with pytest.raises(ValueError, match=r"^Mine cannot be made today\.$"):
        ALGORITHMS.find(f"{file}:refusing").make("local")


def test_a_file_without_anything_says_so(tmp_path):
    (tmp_path / "empty.py").write_text("a = 1\n")
    with pytest.raises(ValueError, match=r"no model 'Net'; it defines no function or class\."):
        MODELS.find(f"{tmp_path / 'empty.py'}:Net")
