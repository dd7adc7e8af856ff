"""Who is there in a round: clients that drop out at random, or by a trace of when each is there."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from demjax import keys
from demjax.registry import Number, check_number

Presence = Callable[[PRNGKeyArray, Int[Array, ""], int], Bool[Array, " N"]]
"""``(key of the round, rounds done, N) -> mask``: who is there in a round, traceable."""

HEADER = ["client", "first", "last"]
"""The first line of a trace file."""


def dropouts(rate: Number) -> Presence:
    """Each client is missing from each round with the same chance, whatever the others do.

    Args:
        rate: The chance, 0 to 1.

    Raises:
        ValueError: If the rate is out of its range.
    """
    check_number("Dropping out", "rate", rate, 0, 1)

    def there(key: PRNGKeyArray, number: Int[Array, ""], clients: int) -> Bool[Array, " N"]:
        own = keys.for_dropouts(keys.for_faults(key))

        def drawn(client):
            return jax.random.uniform(keys.for_client(own, client))

        return jax.vmap(drawn)(jnp.arange(clients)) >= rate

    return there


def trace(
    client: Int[np.ndarray, " I"], first: Int[np.ndarray, " I"], last: Int[np.ndarray, " I"]
) -> Presence:
    """Each client is there in the rounds of some intervals; without any, in all rounds.

    Args:
        client: Number of the client of each interval.
        first: The first round of the interval; a run's first round is 1.
        last: The last round of the interval, which belongs to it.
    """

    def there(key: PRNGKeyArray, number: Int[Array, ""], clients: int) -> Bool[Array, " N"]:
        here = (np.asarray(first) <= number + 1) & (number + 1 <= np.asarray(last))
        always = np.ones(clients, bool)
        always[client] = False
        return jnp.asarray(always).at[client].max(here)

    return there


def both(*presences: Presence | None) -> Presence | None:
    """Who is there by every one of some rules; ``None`` where there is no rule."""
    given = [one for one in presences if one is not None]
    if len(given) < 2:
        return given[0] if given else None

    def there(*now: Any) -> Bool[Array, " N"]:
        return jnp.stack([one(*now) for one in given]).all(axis=0)

    return there


def read_trace(path: str, clients: int) -> Presence:
    """The trace of a file of lines ``client,first,last``, which stand in its first line, too.

    Args:
        path: The file.
        clients: Number of clients, ``N``.

    Raises:
        ValueError: One sentence, if the file cannot be read, or a line is none of these.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            header, *lines = [*csv.reader(file)] or [[]]
    except OSError as error:
        raise ValueError(f"The trace file {path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"The trace file {path} is not a text file of lines: {error}.") from None
    if [word.strip() for word in header] != HEADER:
        raise ValueError(
            f"The trace file {path} begins with {','.join(header)!r}; possible is the line "
            f"{','.join(HEADER)!r}."
        )
    found = []
    for number, line in enumerate(lines, start=2):
        words = [word.strip() for word in line]
        whole = len(words) == 3 and all(
            word.isascii() and word.isdecimal() and len(word) < 20 for word in words
        )
        row = [int(word) for word in words] if whole else []
        if line and not (row and row[0] < clients and 1 <= row[1] <= row[2] < 2**31):
            raise ValueError(
                f"The trace file {path} holds {','.join(line)!r} in line {number}; possible are a "
                f"client from 0 to {clients - 1}, and a first and a last round from 1, the last "
                "not before the first."
            )
        found += [row] if row else []
    table = np.array(found, np.int32).reshape(-1, 3)
    return trace(*table.T)
