"""Calls of factories: arguments checked by their annotations, choices taken by their names."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from demjax.registry.choices import Slot, expand, slot_of
from demjax.registry.ranges import nearest
from demjax.registry.signatures import (
    Option,
    accepts,
    handed_over,
    options_of,
    positional,
    spelled_out,
)
from demjax.registry.values import check_made, check_value


def configurable(make: Callable[..., Any], given: tuple[str, ...] = ()) -> Callable[..., Any]:
    """A factory that checks arguments by its annotations, and takes choices by their names.

    What a choice takes can be given beside its name: ``demlearn(local, cut="depth", levels=2)``.
    """

    @functools.wraps(make)
    def checked(*arguments: Any, **options: Any) -> Any:
        title = make.__name__
        named = dict(zip(positional(make), arguments, strict=False))
        if len(named) < len(arguments) or named.keys() & options.keys():
            return make(*arguments, **options)  # which Python refuses
        options |= named
        extra = {name: options.pop(name) for name in list(options) if not accepts(make, name)}
        left, asked = dict(extra), options | extra
        for own, kind in handed_over(make, given).items():
            if own in options:
                check_made(f"{title} needs {own} as", options[own], kind, f"a {kind.__name__}")
        for option in options_of(make, given):
            slot = slot_of(option)
            if slot is None:
                if option.name in options and not _empty(named.get(option.name)):
                    check_value(option, options[option.name], f"{title} needs {option.name} as")
                continue
            name = slot.chosen(option, asked)
            if isinstance(name, str):
                options[option.name] = _made(slot, name, extra, left)
            elif option.name in options and not (name is None and option.optional):
                subject = f"{title} needs {option.name} as"
                check_made(subject, name, option.made, _possible(slot, option))
        if left:
            wrong, possible = next(iter(left)), expand(make, asked, given=given)
            raise TypeError(f"{title} takes no {wrong!r}; {nearest(wrong, possible)}.")
        return make(**options)

    checked.__signature__ = spelled_out(make)  # type: ignore[attr-defined]
    return checked


def _empty(value: Any) -> bool:
    """Whether it is no values at all, as ``counts(())`` for no levels."""
    return isinstance(value, tuple | list) and not value


def _possible(slot: Slot, option: Option) -> str:
    """What a slot takes, in words: one of its names, or what such a choice makes."""
    names = f"one of {', '.join(map(repr, slot.registry))}"
    kinds = [one.__name__ for one in option.made]
    return " or ".join([names, *("a function" if k == "Callable" else f"a {k}" for k in kinds)])


def _made(slot: Slot, name: str, extra: Mapping[str, Any], left: dict[str, Any]) -> Any:
    """What a slot's choice makes of the options that are its own, which are taken from the rest."""
    known = slot.options(name, extra)
    mine = {n: left.pop(n) for n in list(left) if n in known}
    defaults = {slot.prefix + n: v for n, v in slot.defaults.items()}
    mine = {n: v for n, v in defaults.items() if n in known} | mine
    return slot.registry.find(name).make(**{n[len(slot.prefix) :]: v for n, v in mine.items()})
