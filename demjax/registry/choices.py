"""Registries: what can be chosen by name, registered where it is written."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from demjax.registry.ranges import nearest
from demjax.registry.signatures import Chooses, Option, accepts, options_of


class Choice(NamedTuple):
    """Something that can be chosen by name.

    Attributes:
        name: What it is called: in Python, as a flag's word, in files.
        make: What makes it of its options, or returns it where it has none.
        facts: What else is known of it, such as ``label``, ``paper`` and ``family``.
    """

    name: str
    make: Callable[..., Any]
    facts: Mapping[str, Any]

    @property
    def label(self) -> str:
        """What figures and tables call it."""
        return self.facts.get("label", self.name.replace("_", " "))

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.facts.get("doc") or self.make.__doc__ or "").strip().split("\n")[0]


class Registry(Chooses):
    """All choices of one kind, by name.

    Args:
        kind: What they are, in words: ``"algorithm"``.
        home: The folder that registers them, which is read when one is looked for.
        table: The table of a configuration file that holds the chosen name and its options.
        given: Parameters that are no options, but given by whoever makes the choice.
        needed: Those of them that everything of this kind has to take.
    """

    def __init__(
        self,
        kind: str,
        home: str,
        *,
        table: str,
        given: tuple[str, ...] = (),
        needed: tuple[str, ...] = (),
    ) -> None:
        self.kind, self.home, self.table, self.given, self.needed = kind, home, table, given, needed
        self._known: dict[str, Choice] = {}

    @property
    def _choices(self) -> dict[str, Choice]:
        import_module(self.home)  # at once where it is read; waits for another thread's
        return self._known

    def register(self, name: str | None = None, *, itself: bool = False, **facts: Any) -> Callable:
        """A decorator that registers a factory, or with ``itself`` the thing that it is put on.

        A factory's arguments are checked by its annotations at every call from then on.
        """

        def add(thing: Any) -> Any:
            own = name or thing.__name__
            from demjax.registry.calls import configurable

            if own in self._known:
                raise ValueError(f"There is a {self.kind} named {own!r} already.")
            if itself:
                self._known[own] = Choice(own, lambda: thing, {"doc": thing.__doc__, **facts})
                return thing
            where = {"module": thing.__module__, "family": thing.__module__.split(".")[-2:][0]}
            made = thing if isinstance(thing, type) else configurable(thing, self.given)
            self._known[own] = Choice(own, made, where | facts)
            return made

        return add

    def __repr__(self) -> str:
        return f"<one {self.kind} of {', '.join(self)}>"

    def __getitem__(self, name: str) -> Choice:
        """The choice of a name, or a ``ValueError`` with the nearest name and all of them."""
        if name not in self._choices:
            raise ValueError(f"The {self.kind} {name!r} is unknown; {nearest(name, self)}.")
        return self._choices[name]

    def __contains__(self, name: object) -> bool:
        return name in self._choices

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def choices(self) -> Iterable[Choice]:
        """All choices."""
        return self._choices.values()

    def find(self, name: str) -> Choice:
        """The choice of a name, or the function of a user's file: ``path/to/mine.py:mine``."""
        if code_in(name):
            from demjax.registry.user_files import from_file

            return from_file(name, self)
        return self[name]


@dataclass(frozen=True, eq=False)
class Slot(Chooses):
    """A parameter's choice: as its registry alone, with other names and defaults for its options.

    Attributes:
        registry: What can be chosen.
        prefix: What the names of its options begin with here, so that two slots stay apart.
        defaults: Defaults of options that differ here, by their names without the prefix.
        inferred: Whether options that are given pick the first choice that takes them all.
        table: The table of a file that they belong to; by default the registry's.
    """

    registry: Registry
    prefix: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    inferred: bool = False
    table: str = ""

    def options(self, name: str, values: Mapping[str, Any]) -> dict[str, Option]:
        """What a choice takes, by its names here."""
        cut = len(self.prefix)
        inner = {n[cut:]: v for n, v in values.items() if n.startswith(self.prefix)}
        choice, known = self.registry.find(name), self.registry
        table = self.table or known.table
        found = expand(choice.make, inner, given=known.given, table=table)
        return {
            self.prefix + one.name: one._replace(
                name=self.prefix + one.name, default=self.defaults.get(one.name, one.default)
            )
            for one in found.values()
        }

    def chosen(self, option: Option, values: Mapping[str, Any]) -> Any:
        """The name that is chosen, or the thing itself that was made in Python, or ``None``."""
        if option.name in values or not self.inferred:
            return values.get(option.name, option.default)
        takes = {name: set(self.options(name, {})) for name in self.registry}
        given = {name for name, value in values.items() if value is not None}
        given &= set().union(*takes.values())
        if not given <= takes.get(option.default, set()):
            return next((name for name in takes if given <= takes[name]), option.default)
        return option.default


def slot_of(option: Option) -> Slot | None:
    """What an option chooses from, if it chooses."""
    chooses = option.chooses
    return Slot(chooses) if isinstance(chooses, Registry) else chooses  # type: ignore[return-value]


def expand(
    make: Callable[..., Any],
    values: Mapping[str, Any],
    *,
    given: Iterable[str] = (),
    table: str = "",
) -> dict[str, Option]:
    """All options of a factory by name, with those of the choices that are made among them.

    Args:
        make: The factory.
        values: What is given of the options' values; others have their defaults.
        given: Parameters that are no options.
        table: The table that its own options belong to.

    Raises:
        ValueError: If a choice is unknown.
    """
    found: dict[str, Option] = {}
    own = options_of(make, tuple(given))
    for option in own:
        slot = slot_of(option)
        if slot is None or option.single is None:  # several names bring no options of their own
            found[option.name] = option._replace(table=option.table or table)
            continue
        name = slot.chosen(option, values)
        found[option.name] = option._replace(table=slot.table or slot.registry.table, default=name)
        if isinstance(name, str):
            brought = slot.options(name, values)
            check_apart(name, brought, {*found, *(one.name for one in own)})
            found |= brought
    return found


def code_in(value: Any) -> list[str]:
    """Those words of an option's value that name code of one's own: ``path/to/mine.py:mine``."""
    words = value if isinstance(value, tuple | list) else (value,)
    return [word for word in words if isinstance(word, str) and ".py:" in word]


def check_apart(choice: str, brought: Iterable[str], others: Iterable[str]) -> None:
    """Refuse a choice from a user's file that has an option of a name that another has."""
    for name in sorted(set(brought) & set(others)) if code_in(choice) else ():
        raise ValueError(
            f"{choice!r} has an argument {name!r}, which is another option of this run; possible "
            "is another name for it."
        )


def call(choice: Choice, registry: Registry, values: Mapping[str, Any], **given: Any) -> Any:
    """Make a choice with what it takes of some values, and of what is given by name.

    Args:
        choice: The choice.
        registry: Its registry.
        values: Options of this choice, and maybe of others.
        **given: What whoever makes it has to give; it gets what it asks for.
    """
    mine = {name for name in expand(choice.make, values, given=registry.given) if name in values}
    known = {name: value for name, value in given.items() if accepts(choice.make, name)}
    return choice.make(**known, **{name: values[name] for name in mine})
