"""When what is measured, against the rule said in other words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demjax.metrics import MEASURES
from demjax.simulation.schedule import schedule


def taking(*names):
    """What takes some measures only."""

    def take(models, clients, measures=names):
        return None

    take.measures = names
    return take


@given(
    rounds=st.integers(1, 60),
    often=st.integers(1, 20),
    every=st.dictionaries(st.sampled_from(MEASURES), st.integers(1, 20)),
)
def test_due_is_whose_interval_divides_the_round_and_everything_first_and_last(
    rounds, often, every
):
    wanted = {}
    for number in range(rounds + 1):
        if number in (0, rounds):
            wanted[number] = MEASURES
        elif number % often == 0:
            due = tuple(name for name in MEASURES if number % every.get(name, often) == 0)
            if due:
                wanted[number] = due
    found = schedule(rounds, often, every)
    assert dict(zip(found.rounds, found.taken, strict=True)) == wanted
    assert found.sets[0] == MEASURES
    assert set(found.sets) == set(wanted.values())


def test_only_what_is_measured_is_ever_due():
    found = schedule(6, 1, {"global": 3}, take=taking("global"))
    assert found.rounds == [0, 3, 6]
    assert found.sets == [("global",)]


@pytest.mark.parametrize(
    ("every", "take", "words"),
    [
        ({"clients": 2}, None, r"'client', 'group' and 'global', .* 'clients' was given\."),
        ({"client": 2}, taking("global"), r"for 'global', .* 'client' was given\."),
        ({"client": 0}, None, r"at least 1, but 0 was given\."),
        ({"client": 1.5}, None, r"whole rounds .* 1\.5 was given for 'client'\."),
        ({"client": 2}, lambda models, clients: None, "no argument measures"),
    ],
)
def test_intervals_that_cannot_be_are_a_sentence(every, take, words):
    with pytest.raises(ValueError, match=words):
        schedule(10, 1, every, take=take)
