"""Dirichlet shares of each label, none for whoever has enough, drawn anew while somebody lacks."""

import numpy as np
from jaxtyping import Int

MOST_TRIES = 1000


def capped_dirichlet(
    y: Int[np.ndarray, " T"],
    *,
    clients: int,
    dirichlet_alpha: float,
    at_least: int,
    rng: np.random.RandomState,
) -> list[Int[np.ndarray, " _"]]:
    """Each client's examples, label by label, drawn as published codes draw them.

    For each label in ascending order its examples are shuffled, and ``p ~ Dirichlet(α, …, α)`` is
    set to 0 for each of ``N`` clients that holds ``T / N`` examples or more by then, normalised,
    and cut at ``int(cumsum(p) count)``. All of it is drawn anew while a client has too few.

    Args:
        y: Labels.
        clients: ``N``, at least 1.
        dirichlet_alpha: α, above 0.
        at_least: The fewest examples of a client.
        rng: NumPy's legacy generator, whose draws these are; it goes on from there.

    Raises:
        ValueError: If no try of a thousand gives everybody enough.

    Source: Yurochkin et al., arXiv 1905.12022, as NIID-Bench (arXiv 2102.02079) and PFLlib
    (arXiv 2312.04992) go on from its code.
    """
    pools = [np.flatnonzero(y == name) for name in np.unique(y)]
    for _ in range(MOST_TRIES):
        held: list[list[np.ndarray]] = [[] for _ in range(clients)]
        size = np.zeros(clients, np.int64)
        for pool in pools:
            rng.shuffle(mixed := pool.copy())
            share = rng.dirichlet(np.full(clients, float(dirichlet_alpha)))
            share = np.where(size < len(y) / clients, share, 0.0)
            if not share.sum() > 0:  # all that may have more drew nothing, or α is tiny
                break
            cuts = (np.cumsum(share / share.sum()) * len(mixed)).astype(int)[:-1]
            parts = np.split(mixed, cuts)
            for mine, part in zip(held, parts, strict=True):
                mine.append(part)
            size += [len(part) for part in parts]
        else:
            if size.min() >= at_least:
                return [np.concatenate(mine) for mine in held]
    raise ValueError(
        f"None of {MOST_TRIES} draws of {len(y)} examples gives each of {clients} clients "
        f"{at_least}; possible is a larger --dirichlet-alpha, or fewer --clients."
    )
