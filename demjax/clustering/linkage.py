"""Agglomerative clustering from a matrix of distances, as SciPy's linkage matrix."""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # loads its cluster.hierarchy when first used
from jax import lax
from jaxtyping import Array, Bool, Float, Num

from demjax.arrays import real_numbers, to_float32
from demjax.backend import policy
from demjax.clustering import neighbor_chain
from demjax.clustering.mutual_pairs import merge_together
from demjax.clustering.neighbor_chain import Merges, Update
from demjax.clustering.spanning_tree import merges_along, visiting_order
from demjax.registry import LINKAGES


class Method(NamedTuple):
    """A linkage method.

    Attributes:
        name: What SciPy calls it.
        update: How distances to a merged cluster follow from those to its parts.
        squared: Whether that is so for squared distances.
        spanning: Whether a minimum spanning tree has all merges, so that no update is needed.
    """

    name: str
    update: Update
    squared: bool = False
    spanning: bool = False


for _method in (
    Method("average", neighbor_chain.average),
    Method("complete", neighbor_chain.complete),
    Method("single", neighbor_chain.single, spanning=True),
    Method("ward", neighbor_chain.ward, squared=True),
    Method("weighted", neighbor_chain.weighted),
):
    LINKAGES.register(_method.name, itself=True, doc=_method.update.__doc__)(_method)
METHODS = tuple(LINKAGES)
"""Linkage methods, named as SciPy names them."""

Backend = Literal["xla", "scipy"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
"""Where linkage is computed: inside the program, or by SciPy on the host."""


def linkage(
    distances: Float[Array, " N N"], method: str | Method = "average", backend: str = "xla"
) -> Float[Array, " N-1 4"]:
    """Agglomerative clustering from a matrix of distances, as SciPy's linkage matrix.

    Row ``i`` merges the clusters ``Z[i, 0] < Z[i, 1]`` at distance ``Z[i, 2]`` into cluster
    ``N + i`` of ``Z[i, 3]`` clients; heights never fall. Exact: the merges are SciPy's. Where
    distances tie there are several dendrograms, each of which merges the nearest, and it makes one
    of them. For ``single`` and ``complete`` all have the same heights, SciPy's. For the others
    heights depend on which tie is taken first, and with many ties often are not SciPy's: of 30 to
    200 points on a grid of 4 × 4 × 4, in 5 to 25 % of draws for ``average``, in 30 to 95 % for
    ``ward``. May be called inside a traced program, under ``jit`` and ``vmap``.

    A distance that is not finite is an error outside a traced program. Inside one, where a client
    may have diverged, it counts as the largest finite one, so that a tree always results, and the
    last merge, which joins everybody, has the height infinity to tell.

    Args:
        distances: Symmetric, 0 or more, 0 on the diagonal; of any type, which becomes float32.
        method: One of ``METHODS``, or a method itself; ``ward`` wants Euclidean distances.
        backend: ``"xla"``: inside the program, on any device; ``"scipy"``:
            ``scipy.cluster.hierarchy.linkage`` on the host, the reference.

    Returns:
        The linkage matrix, float32.

    Raises:
        ValueError: If the method or backend is unknown, the matrix is not square or not of
            numbers, or, outside a traced program, a distance is not finite in single precision,
            negative, not the same both ways, or not 0 from a client to itself.

    Source: Müllner, arXiv 1109.2378.
    """
    chosen = LINKAGES[method].make() if isinstance(method, str) else method
    if backend not in BACKENDS:
        raise ValueError(
            f"The linkage backend {backend!r} is unknown; possible are {', '.join(BACKENDS)}."
        )
    given = distances
    if not isinstance(given, jax.Array):
        given = real_numbers(given, "Distances")
        distances = jnp.asarray(to_float32(given))
        if 0 < given.max(initial=0) < np.finfo(np.float32).tiny:
            raise ValueError(
                f"Linkage needs distances of 1e-37 or more, 0 aside, but {given.max()} is the "
                "largest of these; possible is to multiply all of them by a number."
            )
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or distances.size == 0:
        raise ValueError(f"Linkage needs a square matrix, but its shape is {distances.shape}.")
    if not isinstance(distances, jax.core.Tracer):
        _check_concrete(distances, given)
    if distances.shape[0] == 1:
        return jnp.zeros((0, 4), jnp.float32)
    return (_on_device if backend == "xla" else _on_host)(distances, chosen)


@jax.jit
def _wrong(distances: Float[Array, " N N"]) -> Bool[Array, " N N"]:
    apart = ~jnp.eye(distances.shape[0], dtype=bool)
    right = (distances < jnp.inf) & (distances >= 0) & (distances == distances.T)
    return ~(right & (apart | (distances == 0)))


def _check_concrete(distances: Float[Array, " N N"], given: Num[Array, " N N"]) -> None:
    wrong = _wrong(distances)
    if jnp.any(wrong):
        one, other = (int(n) for n in np.unravel_index(int(jnp.argmax(wrong)), wrong.shape))
        there, back = given[one, other], given[other, one]
        raise ValueError(
            "Linkage needs finite distances of at least 0 (in single precision, to 3.4e38) that "
            f"are the same both ways, 0 from a client to itself, but from client {one} to client "
            f"{other} it is {there}, and back {back}."
        )


def _made_safe(
    distances: Float[Array, " N N"],
) -> tuple[Float[Array, " N N"], Float[Array, ""], Bool[Array, ""]]:
    """Distances that are finite, the largest of them, and whether all of them were.

    Floats of at least 0 are in the order of their bits, and whole numbers are compared faster.
    """
    bits = lax.bitcast_convert_type(jnp.abs(distances), jnp.int32)
    infinite = 0x7F800000
    largest = lax.bitcast_convert_type(jnp.max(jnp.where(bits < infinite, bits, 0)), jnp.float32)
    all_finite = jnp.max(bits) < infinite
    return jnp.where(bits < infinite, distances, largest), largest, all_finite


def linkage_of_parts(
    distances: Float[Array, " C C"], sizes: Float[Array, " C"], method: Method
) -> Float[Array, " C-1 4"]:
    """``linkage`` of what stands for several clients each, which are counted as so many.

    Args:
        distances: Between them, as ``method`` has them between clusters of these sizes; symmetric.
        sizes: How many clients each stands for, at least 1.
        method: The method.
    """
    return _on_device(distances, method, sizes)


@partial(jax.jit, static_argnames="method")
def _on_device(
    distances: Float[Array, " N N"], method: Method, sizes: Float[Array, " N"] | None = None
) -> Float[Array, " N-1 4"]:
    distances, largest, finite = _made_safe(distances.astype(jnp.float32))
    # Powers of two change no digit, and keep sums and squares from overflowing.
    _, exponent = jnp.frexp(largest)
    exponent = jnp.clip(exponent, -100, 100)
    distances = distances * jnp.ldexp(jnp.float32(1), -exponent)
    _, update, squared, spanning = method
    if spanning and sizes is None:
        merges = merges_along(*visiting_order(distances))
    else:
        apart = jnp.square(distances) if squared else distances
        merges = agglomerate(apart, update, sizes=sizes)
    matrix = as_scipy(merges)
    height = jnp.sqrt(matrix[:, 2]) if squared else matrix[:, 2]
    matrix = matrix.at[:, 2].set(jnp.ldexp(height, exponent))
    return matrix.at[-1, 2].set(jnp.where(finite, matrix[-1, 2], jnp.inf))


def agglomerate(
    distances: Float[Array, " N N"],
    update: Update,
    *,
    at_least: int | None = None,
    sizes: Float[Array, " N"] | None = None,
) -> Merges:
    """All merges, by the chain; where it pays, mutual pairs all at once before it.

    Args:
        distances: Symmetric and finite.
        update: How distances to a merged cluster follow from those to its parts.
        at_least: Fewest mutual pairs that are merged at once; by default as many
            as ``policy.fewest_mutual_pairs`` says.
        sizes: How many clients each stands for; by default itself.
    """
    count = distances.shape[0]
    merges = Merges(jnp.zeros((count - 1, 4), jnp.float32), jnp.int32(0))
    slots, widths = neighbor_chain.clients_as_slots(distances, sizes), neighbor_chain.stages(count)
    for stage, size in enumerate(widths):
        if stage > 0:
            slots = neighbor_chain.compact(slots, size)
        left = widths[stage + 1] if stage + 1 < len(widths) else 1
        pairs = at_least or policy.fewest_mutual_pairs(size)
        if pairs is not None:
            slots, merges = merge_together(slots, merges, count - left, update, pairs)
        slots, merges = neighbor_chain.walk(slots, merges, count - left, update)
    return merges


def as_scipy(merges: Merges) -> Float[Array, " N-1 4"]:
    """Merges sorted by height, clusters numbered in that order; parts stay before wholes."""
    clients = merges.rows.shape[0] + 1
    order = jnp.argsort(merges.rows[:, 2], stable=True)
    ranks = jnp.arange(clients - 1, dtype=jnp.float32)
    rank = jnp.zeros_like(ranks).at[order].set(ranks)
    nodes = merges.rows[:, :2]
    made_by = jnp.maximum(nodes - clients, 0).astype(jnp.int32)
    nodes = jnp.sort(jnp.where(nodes < clients, nodes, clients + rank[made_by]), axis=1)
    return jnp.concatenate([nodes, merges.rows[:, 2:]], axis=1)[order]


def _on_host(distances: Float[Array, " N N"], method: Method) -> Float[Array, " N-1 4"]:
    count = distances.shape[0]
    distances, _, finite = _made_safe(distances.astype(jnp.float32))

    def merge(matrix):
        pairs = np.asarray(matrix, np.float64)[np.triu_indices(count, 1)]
        return scipy.cluster.hierarchy.linkage(pairs, method=method.name).astype(np.float32)

    shape = jax.ShapeDtypeStruct((count - 1, 4), jnp.float32)
    merges = jax.pure_callback(merge, shape, distances, vmap_method="sequential")
    return merges.at[-1, 2].set(jnp.where(finite, merges[-1, 2], jnp.inf))
