"""Edges between clients and a cloud: what they average, and what travels."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.base import Params
from demjax.clients import participation
from demjax.hierarchy.robust_means import Average
from demjax.pytrees import each_array


class Travelled(NamedTuple):
    """Bytes of a round, each way by itself, and those up and down.

    Attributes:
        client_to_edge: From clients to their edges.
        edge_to_cloud: From edges to the cloud.
        cloud_to_edge: From the cloud to edges.
        edge_to_client: From edges to their clients.
        bytes_up: All up.
        bytes_down: All down.
    """

    client_to_edge: Float[Array, ""]
    edge_to_cloud: Float[Array, ""]
    cloud_to_edge: Float[Array, ""]
    edge_to_client: Float[Array, ""]
    bytes_up: Float[Array, ""]
    bytes_down: Float[Array, ""]


def at_edges(
    client: Params,
    edge: Params,
    at: Int[Array, " N"],
    examples: Int[Array, " N"],
    cohort: participation.Cohort,
    average: Average,
    key: PRNGKeyArray,
) -> tuple[Params, Float[Array, " E"]]:
    """The edges' averages of a cohort, ``w_e = Σ_n m_n w_n / Σ_n m_n``; without any, what they had.

    Args:
        client: Client models, leaves ``[N, ...]``.
        edge: The edges' models before, leaves ``[E, ...]``.
        at: The edge of each client.
        examples: ``m``.
        cohort: The clients that count.
        average: Takes the mean, as in ``hierarchy.robust_means``.
        key: The round's.

    Returns:
        The edges' models, and how many examples each is of.
    """
    here = participation.rows(at, cohort) == jnp.arange(edge.count)[:, None]
    counts = here * participation.counted(examples, cohort).astype(jnp.float32)
    own = keys.for_part(keys.for_noise(key), 0)
    mean = average(participation.rows(client, cohort), counts, reference=edge, key=own)
    return _where(jnp.any(counts > 0, axis=1), mean, edge), jnp.sum(counts, axis=1)


def in_cloud(
    edge: Params,
    cloud: Params,
    examples: Float[Array, " E"],
    due: Bool[Array, ""],
    average: Average,
    key: PRNGKeyArray,
) -> tuple[Params, Params]:
    """Where it is due, the cloud's average, ``w = Σ_e m_e w_e / Σ_e m_e``, which edges take on.

    Args:
        edge: The edges' models, leaves ``[E, ...]``.
        cloud: The cloud's model, leaves ``[1, ...]``.
        examples: ``m``, one of them above 0.
        due: Whether the cloud averages now.
        average: Takes the mean, as in ``hierarchy.robust_means``.
        key: The round's.

    Returns:
        The edges' models and the cloud's.
    """
    own = keys.for_part(keys.for_noise(key), 1)
    cloud = _where(due, average(edge, examples[None], reference=cloud, key=own), cloud)
    return _where(due, _copied(cloud, edge), edge), cloud


def stacked(edge: Params, cloud: Params) -> Params:
    """The models of both levels, leaves ``[2, E, ...]``, the cloud's copied into all slots."""
    return each_array(lambda *both: jnp.stack(both), edge, _copied(cloud, edge))


def travelled(
    model_bytes: int, clients: Int[Array, ""], edges: Int[Array, ""], due: Bool[Array, ""]
) -> Travelled:
    """What travels where so many clients are sent a model and send one, and edges where it is due.

    Args:
        model_bytes: Bytes of a model.
        clients: Clients that take part.
        edges: Edges with a client.
        due: Whether the cloud averages.
    """
    lower = clients.astype(jnp.float32) * model_bytes
    upper = (due * edges).astype(jnp.float32) * model_bytes
    return Travelled(lower, upper, upper, lower, lower + upper, lower + upper)


def _copied(cloud: Params, edge: Params) -> Params:
    return each_array(lambda c, e: jnp.broadcast_to(c, e.shape), cloud, edge)


def _where(whether: Bool[Array, " *E"], new: Params, old: Params) -> Params:
    def one(new, old):
        return jnp.where(whether.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return each_array(one, new, old)
