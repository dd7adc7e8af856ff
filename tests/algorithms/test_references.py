"""Every registered algorithm is held against a reference that is not itself."""

import ast
from pathlib import Path

import pytest

import demjax  # noqa: F401 (registers them)
from demjax.registry import ALGORITHMS

WORDS = ("by_hand", "reference", "loop")
OWN = [one for one in ALGORITHMS.choices() if one.facts["module"].startswith("demjax.")]


def names_in(family, name):
    """The names of the tests of an algorithm, in the file that mirrors its own."""
    path = Path(__file__).parent / family / f"test_{name}.py"
    if not path.is_file():
        return []
    found = ast.walk(ast.parse(path.read_text()))
    names = [one.name for one in found if isinstance(one, ast.FunctionDef)]
    return [one for one in names if one.startswith("test_")]


@pytest.mark.parametrize("choice", OWN, ids=lambda choice: choice.name)
def test_it_has_a_test_against_numbers_by_hand_a_reference_or_a_loop(choice):
    held = [one for one in names_in(choice.facts["family"], choice.name) if any_of(one)]
    assert held, (
        f"{choice.name} needs tests/algorithms/{choice.facts['family']}/test_{choice.name}.py with "
        f"a test that holds it against a reference, whose name contains one of {WORDS}"
    )


def any_of(name):
    return any(word in name for word in WORDS)


def test_an_algorithm_without_a_reference_test_would_fail():
    assert OWN
    assert names_in("federated", "nowhere") == []
    assert not any_of("test_it_learns")
    assert any_of("test_every_round_is_that_of_the_loop_over_clients")
