"""What clients that lie send in place of what they trained.

An attack looks at updates, ``u_n = w_n − start_n``. Those that need to know what the honest clients
send look at all honest clients that take part in the round, in whichever groups they are: their
mean ``μ`` and their standard deviation ``σ``, parameter by parameter.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Params
from demjax.registry import ATTACKS, Number, Range, check_number

Lie = Callable[[Params, Bool[Array, " N"], PRNGKeyArray], Params]
"""``(updates, honest, key of the round) -> updates``: leaves ``[N, ...]``; liars' rows count."""


class Attack(NamedTuple):
    """How clients lie.

    Attributes:
        lie: What they send of their updates; ``None`` where they train as all do.
        labels: ``(y, classes) -> y``: their training labels; ``None`` where these are as they were.
    """

    lie: Lie | None = None
    labels: Callable[[Int[np.ndarray, " T"], int], Int[np.ndarray, " T"]] | None = None


@ATTACKS.register(changes="labels")
def label_flip() -> Attack:
    """Train on the labels ``C − 1 − y`` in place of ``y``.

    Source: Fang et al., *Local Model Poisoning Attacks*, USENIX Security 2020, arXiv 1911.11815.
    """
    return Attack(labels=lambda y, classes: classes - 1 - y)


@ATTACKS.register()
def sign_flip(*, scale: Annotated[Number, Range(0, 1e6)] = 1.0) -> Attack:
    """Send the own update turned around, ``−s u_n``.

    Args:
        scale: s, how much longer it is, 0 or more

    Source: Li et al., *RSA*, AAAI 2019, arXiv 1811.03761 (the sign-flipping attack).
    """
    return Attack(lambda updates, honest, key: jax.tree.map(lambda u: -scale * u, updates))


@ATTACKS.register()
def scaled(*, factor: Annotated[Number, Range(-1e6, 1e6)] = 10.0) -> Attack:
    """Send the own update many times as long, ``s u_n``.

    Args:
        factor: s

    Source: Bagdasaryan et al., *How To Backdoor Federated Learning*, AISTATS 2020, arXiv
    1807.00459 (model replacement).
    """
    return Attack(lambda updates, honest, key: jax.tree.map(lambda u: factor * u, updates))


@ATTACKS.register()
def gaussian(*, std: Annotated[Number, Range(0, 1e6)] = 1.0) -> Attack:
    """Send noise in place of the update, ``s z`` with ``z ~ N(0, 1)``.

    Args:
        std: s, its standard deviation, 0 or more

    Source: Blanchard et al., NeurIPS 2017, arXiv 1703.02757 (Gaussian Byzantine workers).
    """

    def lie(updates, honest, key):
        own = keys.for_attack(keys.for_faults(key))

        def of_client(client, one):
            leaves, form = jax.tree.flatten(one)
            mine = keys.for_client(own, client)
            drawn = [
                std * jax.random.normal(keys.for_part(mine, number), leaf.shape)
                for number, leaf in enumerate(leaves)
            ]
            return jax.tree.unflatten(form, drawn)

        return jax.vmap(of_client)(jnp.arange(honest.shape[0]), updates)

    return Attack(lie)


@ATTACKS.register()
def a_little_is_enough(*, z: Annotated[Number, Range(0, 1e6)] = 1.5) -> Attack:
    """Send what is just inside the spread of honest updates, ``μ − z σ``, all liars the same.

    Args:
        z: how many standard deviations from the mean, 0 or more

    Source: Baruch, Baruch and Goldberg, *A Little Is Enough*, NeurIPS 2019, arXiv 1902.06156,
    algorithm 3 (z of about 1 to 2 for 20 to 50 clients).
    """

    def lie(updates, honest, key):
        mean, std = _of_honest(updates, honest)
        return jax.tree.map(
            lambda m, s, u: jnp.broadcast_to(m - z * s, u.shape), mean, std, updates
        )

    return Attack(lie)


@ATTACKS.register()
def inner_product(*, epsilon: Annotated[Number, Range(0, 1e6)] = 0.5) -> Attack:
    """Send the honest mean turned around, ``−ε μ``, all liars the same.

    Args:
        epsilon: ε, its length in parts of the mean's, 0 or more

    Source: Xie, Koyejo and Gupta, *Fall of Empires*, UAI 2019, arXiv 1903.03936.
    """

    def lie(updates, honest, key):
        mean, _ = _of_honest(updates, honest)
        return jax.tree.map(lambda m, u: jnp.broadcast_to(-epsilon * m, u.shape), mean, updates)

    return Attack(lie)


@ATTACKS.register()
def nan() -> Attack:
    """Send what is no number, as a broken client does."""
    return Attack(lambda updates, honest, key: jax.tree.map(lambda u: u + jnp.nan, updates))


def _of_honest(updates: Params, honest: Bool[Array, " N"]) -> tuple[Params, Params]:
    """Mean and standard deviation of honest clients' updates, leaves ``[...]``.

    The deviation divides by one less than their number, as in the attacks' own code.
    """
    count = jnp.maximum(jnp.sum(honest), 1)

    def mean(leaf):
        wide = honest.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.sum(jnp.where(wide, leaf, 0), axis=0) / count

    means = jax.tree.map(mean, updates)
    squares = jax.tree.map(lambda u, m: mean(jnp.square(u - m)), updates, means)
    unbiased = count / jnp.maximum(count - 1, 1)
    return means, jax.tree.map(lambda square: jnp.sqrt(square * unbiased), squares)


def attackers(
    clients: int, share: float = 0.0, *, named: Sequence[int] = (), seed: int = 0
) -> Bool[np.ndarray, " N"]:
    """Which clients lie: a share of all, drawn once, and those that are named.

    Args:
        clients: Number of clients, ``N``.
        share: Share that is drawn, 0 to 1, of which ``share · N`` is rounded.
        named: Numbers of clients, 0 to ``N − 1``.
        seed: What the draw follows from.

    Raises:
        ValueError: If the share is out of its range, or there is no such client.
    """
    check_number("An attack", "attackers", share, 0, 1)
    for one in named:
        check_number("An attack", "attackers' numbers", one, 0, clients - 1)
    liars = np.zeros(clients, bool)
    drawn = np.random.default_rng([seed, 1]).permutation(clients)
    liars[drawn[: round(share * clients)]] = True
    liars[list(map(int, named))] = True
    return liars


def lied_labels(y: Any, rows: Sequence[Any], liars: Any, attack: Attack, classes: int) -> Any:
    """The labels of pooled examples with those that liars train on as an attack has them.

    Args:
        y: Labels.
        rows: The training examples of each client, which nobody else has.
        liars: Whether each client lies.
        attack: How.
        classes: Number of labels.
    """
    if attack.labels is None or not np.any(liars):
        return y
    lied = np.array(y)
    held = np.concatenate([row for row, lies in zip(rows, liars, strict=True) if lies])
    lied[held] = attack.labels(lied[held], classes)
    return lied
