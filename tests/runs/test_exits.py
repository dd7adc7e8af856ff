"""How commands end: the sentence that is shown."""

from demjax.runs.exits import LONGEST, WRONG, say


def test_a_sentence_without_end_is_shown_without_its_middle(capsys):
    assert say("Short.", WRONG) == WRONG
    assert capsys.readouterr().err == "demjax: Short.\n"
    say(f"The name {'x' * 10**6!r} is unknown.", WRONG)
    said = capsys.readouterr().err
    assert said.startswith("demjax: The name 'xxx")
    assert said.endswith("xxx' is unknown.\n")
    assert len(said) < LONGEST + 50
