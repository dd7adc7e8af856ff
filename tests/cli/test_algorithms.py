"""``demjax algorithms``: every learning system, by family, with its paper."""

from demjax.cli import main
from demjax.registry import ALGORITHMS


def test_the_algorithms_are_listed_by_family_with_their_papers(capsys):
    assert main.main(["algorithms"]) == 0
    lines = capsys.readouterr().out.splitlines()
    families = [line for line in lines if not line.startswith(" ")]
    assert families == sorted(families)
    assert {"federated", "hierarchical", "personalized"} <= set(families)
    for choice in ALGORITHMS.choices():
        place = next(i for i, line in enumerate(lines) if line.startswith(f"  {choice.name} "))
        assert choice.summary in lines[place]
        assert lines[place + 1].strip() == choice.facts["paper"]
        assert choice.facts["family"] == [one for one in lines[:place] if one in families][-1]


def test_it_takes_nothing(capsys):
    assert main.main(["algorithms", "--all"]) == 2
    assert "'--all' is unknown" in capsys.readouterr().err
