"""By what groups of clients differ: which labels, and which inputs."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from demjax.base import ClientData, Params
from demjax.clients.label_gradients import LabelGradients, labelling
from demjax.clients.local_training import LocalTraining
from demjax.clustering.by_label import shared_label_distances


def label_differences(seen: LabelGradients, groups: Int[Array, " N"]) -> Float[Array, " C"]:
    """Of each label how far clients of different groups differ in parts of those of one.

    Args:
        seen: Label gradients of all clients.
        groups: The group of each client.

    Returns:
        Mean ``by_label`` distance of pairs of different groups, of that label alone, over that of
        pairs of one group; NaN where there are none of either.
    """
    other = groups[:, None] != groups
    itself = jnp.eye(groups.size, dtype=bool)

    def one(label):
        alone = jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, label, 1, 1), seen)
        distances, known = shared_label_distances(alone)
        between = jnp.mean(distances, where=known & other)
        return between / jnp.mean(distances, where=known & ~other & ~itself)

    return lax.map(one, jnp.arange(seen.counts.shape[1]))


def input_differences(
    local: LocalTraining,
    model: Params,
    clients: ClientData,
    groups: Int[np.ndarray, " N"],
    *,
    strata: int,
    most: int,
) -> tuple[Int[np.ndarray, " I"], Float[np.ndarray, " I"]]:
    """The inputs whose means differ most between groups, label by label, and how much.

    Args:
        local: How clients train, which knows what labels are.
        model: One model; shapes alone will do.
        clients: Everybody's data.
        groups: The group of each client.
        strata: As in ``labelling``.
        most: How many inputs.

    Returns:
        Their flat indices, and the variance between groups in parts of that within groups, both
        label by label; none where there is one group.
    """
    if groups.max() == 0:
        return np.zeros(0, int), np.zeros(0)
    label_of, labels = labelling(local, model, clients, strata)
    train, size = np.asarray(clients.train), np.asarray(clients.train_size)
    real = np.arange(train.shape[1]) < size[:, None]
    examples, owner = train[real], np.nonzero(real)[0]
    code = groups[owner] * labels + np.asarray(label_of(clients.y[examples]))
    cells = (int(groups.max()) + 1) * labels
    x = np.asarray(clients.x)
    total, square = np.zeros((2, cells, x[0].size))
    for begin in range(0, len(examples), 4096):
        some = slice(begin, begin + 4096)
        values = x[examples[some]].reshape(len(examples[some]), -1).astype(float)
        hot = (code[some] == np.arange(cells)[:, None]).astype(float)
        total += hot @ values
        square += hot @ values**2
    count = np.bincount(code, minlength=cells).reshape(-1, labels, 1)
    total, square = (sums.reshape(-1, labels, x[0].size) for sums in (total, square))
    mean = total / np.maximum(count, 1)
    of_label = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    between = np.sum(count * (mean - of_label) ** 2, axis=(0, 1))
    free = max(np.sum(count > 0) - np.sum(count.sum(axis=0) > 0), 1)
    within = np.sum(square - count * mean**2, axis=(0, 1))
    within /= max(len(examples) - np.sum(count > 0), 1)
    ratio = between / free / np.maximum(within, 1e-6 * max(within.max(), 1e-12))
    order = np.argsort(-ratio, kind="stable")[:most]
    return order, ratio[order]
