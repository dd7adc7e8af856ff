"""What a run has spent of its clients' privacy: uses of their data, counted, and composed.

A run can protect single examples, where clients clip and noise the gradients of each, and whole
clients, where a server clips and noises their updates. In both, a client's data go through so many
Gaussian mechanisms of a noise multiplier; ``dp-accounting`` composes them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.base import Algorithm, ClientData, Models
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.clients.private_steps import Private
from demjax.registry import check_number
from demjax.simulation.faults import also


class Spent(NamedTuple):
    """What was used of each client's data; ``None`` where that is not what is protected.

    Attributes:
        example_uses: How many Gaussian mechanisms each example of a client went through: one for
            each pass over its data.
        client_uses: How many each client's update went through: one for each level of groups, and
            one for the root, in each round.
        example_noise: Noise multiplier of the first.
        client_noise: Noise multiplier of the second.
        delta: ``δ``.
    """

    example_uses: Int[Array, " N"] | None
    client_uses: Int[Array, " N"] | None
    example_noise: Float[Array, ""] | None
    client_noise: Float[Array, ""] | None
    delta: Float[Array, ""]


class Accounted(NamedTuple):
    """What the next round needs.

    Attributes:
        inner: The algorithm's own state.
        rounds: In how many rounds each client has trained.
    """

    inner: Any
    rounds: Int[Array, " N"]


def accounted(
    make: Callable[..., Algorithm],
    local: LocalTraining,
    *,
    cohort: participation.Who = None,
    client: Private | None = None,
    delta: float = 1e-5,
) -> Algorithm:
    """An algorithm that tells what it has spent of its clients' privacy.

    A client's uses are those of the rounds in which it trained, ``r_n``. Each example of it goes
    through one mechanism for each epoch of each local training in a round, since it is in one batch
    of each; its update through one for each row of ``Models.hierarchy``.

    Args:
        make: Makes the algorithm, ``(local=, cohort=) -> Algorithm``, with ``private_mean`` as its
            average where clients are to be protected.
        local: How clients train, with ``private`` where examples are to be protected.
        cohort: Clients that train in a round.
        client: What ``private_mean`` was made of.
        delta: ``δ``, above 0 and below 1.

    Returns:
        The algorithm; its info has the fields of its own and ``privacy``, a ``Spent``.

    Raises:
        ValueError: If ``δ`` is out of its range.
    """
    check_number("Privacy", "delta", delta, 1e-30, 0.999)
    algorithm = make(local=local, cohort=cohort)

    def init(key: PRNGKeyArray, clients: ClientData) -> Accounted:
        return Accounted(algorithm.init(key, clients), jnp.zeros(clients.n_clients, jnp.int32))

    def one_round(
        key: PRNGKeyArray, state: Accounted, clients: ClientData
    ) -> tuple[Accounted, Any]:
        passes: list[int] = []
        if local.private is not None:
            other = make(local=_counting(local, passes), cohort=cohort)
            jax.eval_shape(other.round, key, state.inner, clients)
        inner, info = algorithm.round(key, state.inner, clients)
        loss = getattr(info, "loss", None)
        trained = jnp.ones_like(state.rounds) if loss is None else (~jnp.isnan(loss)).astype(int)
        rounds = state.rounds + trained.astype(jnp.int32)
        levels = algorithm.models(inner).hierarchy.groups.shape[0]
        example = local.private
        spent = Spent(
            None if example is None else rounds * sum(passes),
            None if client is None else rounds * levels,
            None if example is None else jnp.float32(example.noise),
            None if client is None else jnp.float32(client.noise),
            jnp.float32(delta),
        )
        return Accounted(inner, rounds), also(info, {"privacy": spent})

    def models(state: Accounted) -> Models:
        return algorithm.models(state.inner)

    return algorithm._replace(init=init, round=one_round, models=models)


def _counting(local: LocalTraining, passes: list[int]) -> LocalTraining:
    """Local training that notes how often it goes through a client's examples."""

    def train(*arguments, epochs=None, **more):
        passes.append(epochs or local.epochs)
        return local.train(*arguments, epochs=epochs, **more)

    def mean(*arguments, **more):
        passes.append(local.epochs)
        assert local.mean is not None
        return local.mean(*arguments, **more)

    return local._replace(train=train, mean=local.mean and mean)


def epsilons(spent: Any) -> dict[str, Float[np.ndarray, " N"]]:
    """``ε`` of each client by what is protected, from a round's ``Spent``; NaN before the first."""
    found, delta = {}, _as_given(spent.delta)
    for name in ("example", "client"):
        noise, uses = (getattr(spent, f"{name}_{what}") for what in ("noise", "uses"))
        if noise is not None:
            noise, uses = _as_given(noise), np.asarray(uses).tolist()
            each = [np.nan if np.isnan(noise) else epsilon(noise, n, delta) for n in uses]
            found[f"{name}_epsilon"] = np.array(each)
    return found


def _as_given(number: Any) -> float:
    """The shortest number that is this one in 32 bits: the one that was given."""
    return float(str(np.float32(number)))


@cache
def epsilon(noise: float, uses: int, delta: float) -> float:
    """``ε`` of so many Gaussian mechanisms on the same data, by Rényi divergences.

    Neighbours differ in whether one example, or one client, is there (its place stays, and what it
    would add is 0), so that one mechanism's sensitivity is the clip.

    Args:
        noise: Noise multiplier, 0 or more.
        uses: How many, 0 or more.
        delta: ``δ``.

    Raises:
        ValueError: If the package dp-accounting is missing.
    """
    if not uses:
        return 0.0
    if noise == 0:
        return float("inf")
    accounting, rdp = _accounting()
    one = accounting.GaussianDpEvent(noise)
    accountant = rdp.RdpAccountant()
    accountant.compose(accounting.SelfComposedDpEvent(one, uses))
    return float(accountant.get_epsilon(delta))


def _accounting() -> tuple[Any, Any]:
    """The package dp-accounting, read only where something is private."""
    try:
        import dp_accounting
        from dp_accounting import rdp
    except ImportError:
        raise ValueError(
            "What privacy is spent is told by the package dp-accounting, which is missing; "
            "possible is: pip install 'demjax[privacy]'."
        ) from None
    return dp_accounting, rdp


def check_accountant() -> None:
    """Refuse private training where nobody could tell what it spends; errors as of ``epsilon``."""
    _accounting()
