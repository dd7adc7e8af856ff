"""The systems of a comparison: ``fedavg,fedavg:mix=0.6,ditto``, each with options of its own."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from demjax.experiment.experiment import not_taken, with_defaults
from demjax.experiment.overriding import override
from demjax.experiment.tables import all_options
from demjax.registry import ALGORITHMS, Option, code_in, expand, read_word

Read = Callable[[Option, Any], Any]
"""Makes of what was given an option's value: of a word, or, in Python, of the value itself."""

NOTHING = "none"
"""The word for no value of an option that can have none."""

COMMON = ("run", "data")
"""Tables whose options all systems of a comparison share."""

_SPECIFIED = re.compile(r"(?P<name>(?:.*\.py:)?[^:=]+)(?P<options>(?::[^:=]+=[^:]*)*)")


class System(NamedTuple):
    """A learning system as a comparison runs it.

    Attributes:
        algorithm: Its name.
        own: The options that were given for it alone.
        options: All options that it is run with, but the seed.
        tuned: Those of its own that were chosen on validation examples.
    """

    algorithm: str
    own: Mapping[str, Any]
    options: Mapping[str, Any]
    tuned: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tables call it: ``FedAvg, mix 0.6``."""
        words = [f"{in_words({name: value})}" for name, value in self.own.items()]
        tuned = " (tuned)" if self.tuned else ""
        return ", ".join([ALGORITHMS.find(self.algorithm).label, *words]) + tuned

    @property
    def folder(self) -> str:
        """What its folder is called: ``fedavg-mix-0.6``."""
        name = self.algorithm.rpartition(":")[2]
        words = [name, *(f"{own}-{_word(value)}" for own, value in self.own.items())]
        return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(words)).strip("-.")

    def with_options(self, chosen: Mapping[str, Any]) -> "System":
        """The same with further options of its own, that were tuned."""
        options = override(self.options, chosen)
        return System(self.algorithm, {**self.own, **chosen}, options, tuple(chosen))


def in_words(options: Mapping[str, Any]) -> str:
    """Options as a reader wants them: ``mix 0.6, measure at averaged``."""
    said = []
    for name, value in options.items():
        shown = name.replace("_", " ")
        if value is None or value is False:
            said.append(f"no {shown}")
        else:
            said.append(shown if value is True else f"{shown} {_word(value)}")
    return ", ".join(said)


def _word(value: Any) -> str:
    many = value if isinstance(value, tuple | list) else (value,)
    return "/".join(f"{one:g}" if isinstance(one, float) else str(one) for one in many)


def word_read(option: Option, word: str | None) -> Any:
    """An option's value from a word of the command line.

    Raises:
        ValueError: If the word is no such value, or missing.
    """
    if word is None and option.single is not bool:
        raise ValueError(f"The option {option.flag} needs a value, but none was given.")
    if option.optional and word == NOTHING:
        return None
    return read_word(option, "true" if word is None else word)


def specified(text: str) -> list[tuple[str, dict[str, str]]]:
    """The names of ``--algorithms``, and the options behind each of them as words.

    ``fedavg,fedavg:mix=0.6:measure_at=averaged,demlearn:mix=0.6,0.3``: commas part systems, but
    what stands behind one and is no system's name goes on with the values of an option that takes
    several, and ``name=value`` is a further option of the system before it.

    Raises:
        ValueError: If a system is unknown or a part is neither.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for piece in (part.strip() for part in text.split(",")):
        match = _SPECIFIED.fullmatch(piece)
        if match is None:
            name, equals, word = piece.partition("=")
            if not (found and equals and name) or ":" in name:
                raise ValueError(
                    f"--algorithms holds {piece!r}; possible are systems parted by commas, with "
                    "their options behind colons, such as fedavg,fedavg:mix=0.6,ditto:prox=0.5."
                )
            found[-1][1][_named(name)] = word
            continue
        name = match["name"].strip()
        if found and _goes_on(name, *found[-1]):
            last = next(reversed(found[-1][1]))
            found[-1][1][last] += f",{name}"
        else:
            ALGORITHMS.find(name)
            found.append((name, {}))
        pairs = [part.partition("=") for part in match["options"].split(":")[1:]]
        found[-1][1].update({_named(option): word for option, _, word in pairs})
    return found


def _named(option: str) -> str:
    return option.strip().replace("-", "_")


def _goes_on(word: str, before: str, options: Mapping[str, str]) -> bool:
    """Whether a word goes on with the values of the last option of the system before it."""
    if not options or word in ALGORITHMS or code_in(word):
        return False
    known = expand(ALGORITHMS.find(before).make, options, given=ALGORITHMS.given)
    option = known.get(list(options)[-1])
    return option is not None and option.several is not None


def systems(
    wanted: Sequence[tuple[str, Mapping[str, Any]]],
    filed: Mapping[str, Any],
    given: Mapping[str, Any],
    read: Read = lambda option, value: value,
) -> tuple[list[System], list[str]]:
    """The systems of a comparison, each with the options that it takes.

    Args:
        wanted: The name of each, and its own options.
        filed: Options of a file or a preset; those of its algorithm are for that one alone.
        given: Options that all systems get that take them.
        read: Makes values of what was given.

    Returns:
        The systems, and a sentence for each option that only some of them take.

    Raises:
        ValueError: If there are none, or one twice, or an option is one that no system takes, or
            one of its own is not the system's.
    """
    if not wanted:
        raise ValueError("A comparison needs at least one system, but none was given.")
    found: list[System] = []
    takers: dict[str, list[str]] = {name: [] for name in given}
    for name, own in wanted:
        one = _system(name, own, filed, given, read)
        if any(one.algorithm == other.algorithm and one.own == other.own for other in found):
            raise ValueError(f"The system {one.label!r} was given twice; once is enough.")
        for option in set(given) & set(one.options):
            takers[option].append(one.label)
        found.append(one)
    said = []
    for option, labels in takers.items():
        flag = "--" + option.replace("_", "-")
        if not labels:
            raise ValueError(_taken_by_none(option, wanted[0][0], filed, given))
        if len(labels) < len(found):
            others = [one.label for one in found if one.label not in labels]
            said.append(f"{flag} is for {'; '.join(labels)}, not for {'; '.join(others)}.")
    return found, said


def _system(
    name: str,
    own: Mapping[str, Any],
    filed: Mapping[str, Any],
    given: Mapping[str, Any],
    read: Read,
) -> System:
    asked = {"algorithm": name, **given, **own}
    together = override(filed, {n: None if v == NOTHING else v for n, v in asked.items()})
    together = {n: v for n, v in together.items() if v is not None}
    options = all_options(with_defaults(together))
    for option in own:
        if option not in options:
            raise ValueError(not_taken(option, together, options))
        if options[option].table in COMMON or option == "algorithm":
            raise ValueError(
                f"The system {name!r} was given {option!r} of its own, which all systems of a "
                f"comparison share; possible is --{option.replace('_', '-')} for all."
            )
    mine = {n: read(options[n], value) for n, value in own.items()}
    taken = {n: read(options[n], value) for n, value in given.items() if n in options}
    return System(name, mine, override(filed, {"algorithm": name, **taken, **mine}))


def _taken_by_none(
    option: str, name: str, filed: Mapping[str, Any], given: Mapping[str, Any]
) -> str:
    """Why an option cannot be given: it is unknown, or for other systems."""
    flag = "--" + option.replace("_", "-")
    together = override(filed, {"algorithm": name, **given})
    options = all_options(with_defaults({n: v for n, v in together.items() if v is not None}))
    sentence = not_taken(option, together, options)
    if "is unknown;" not in sentence:
        return f"None of the systems takes {flag}. {sentence}"
    close = difflib.get_close_matches(flag, [one.flag for one in options.values()], 1, 0.75)
    hint = f"perhaps {close[0]!r} was meant" if close else "demjax compare --help says more"
    return f"The argument {flag!r} is unknown; {hint}."
