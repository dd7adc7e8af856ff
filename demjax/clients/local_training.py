"""Every client's local training at once: epochs, short batches, proximal pull, chunks."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax import keys
from demjax.backend import policy
from demjax.backend.sharding import over_clients
from demjax.base import ClientData, Params, Task
from demjax.clients import participation
from demjax.pytrees import select
from demjax.registry import check_number


class Pull(NamedTuple):
    """A proximal term for each client, ``½ Σ_j weight[n, j] ‖w − anchors[which[n, j]]‖²``.

    Anchors are a bank of models that clients point into, so that many clients who share an
    anchor cost one copy of it.

    Attributes:
        anchors: Stacked models, leaves ``[A, ...]``.
        which: Anchors of each client, as rows of the bank.
        weight: Strength towards each of them, 0 or more.
        chosen: Leaves that are pulled, as a pytree of plain truth values; by default all.
    """

    anchors: Params
    which: Int[Array, " N J"]
    weight: Float[Array, " N J"]
    chosen: Params | None = None


class LocalTraining(NamedTuple):
    """How clients learn on their own.

    Attributes:
        init: ``(key) -> params``: the model that all clients start from.
        train: ``(key, params, clients, pull=None) -> (params, loss[N])``: local training of
            every client from its row of the stacked ``params``; the loss is its mean over the
            examples of the last epoch, as met during training. With ``gradients=True`` a third
            result, stacked like ``params``: the gradient of that loss, averaged likewise,
            without the pull. With ``cohort``, as in ``demjax.cohorts``, only its clients train;
            the others' models come back as they were, with a loss of NaN and a gradient of 0.
    """

    init: Callable[[PRNGKeyArray], Params]
    train: Callable[..., tuple[Params, Float[Array, " N"]]]


def chunk_for_backend(clients: int) -> int:
    """Clients trained at once, as ``policy`` says."""
    return policy.clients_trained_at_once(clients)


def local_training(
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    epochs: int = 2,
    batch_size: int = 10,
    chunk: int | None = None,
) -> LocalTraining:
    """Mini-batch training of every client on its own examples, in one traced program.

    A step is ``w ← w + optimizer(∇loss(w) + Σ_j weight_j (w − anchor_j))``. Examples are
    reshuffled each epoch; the last batch of an epoch holds what is left, and its loss is the
    mean over that. The optimizer starts afresh in each round.

    Clients are trained ``chunk`` at a time in the order of their sizes, and a chunk stops
    after its largest client's last step, so that few steps are wasted on padding as long as
    a chunk is much smaller than all clients together. The outcome does not depend on the
    chunk beyond rounding: all randomness comes from ``keys.for_client``. On a CPU a
    chunk above 1 turns convolutions into grouped ones, which are slow there. In the context of
    ``spread_over``, each device trains its part of the clients.

    Args:
        task: What is learned.
        optimizer: Any Optax optimizer, such as ``optax.sgd(0.05)``.
        epochs: Passes over a client's examples in a round, at least 1.
        batch_size: Examples in a batch, at least 1.
        chunk: Clients trained at once, at least 1; by default ``chunk_for_backend``.

    Returns:
        The local training, which algorithms are assembled from.

    Raises:
        ValueError: If epochs, batch size or chunk is below 1.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("chunk", chunk)):
        check_number("Local training", name, value, 1)

    largest_batch = batch_size

    def shuffled(
        key: PRNGKeyArray, rows: Int[Array, " M"], size: Int[Array, ""]
    ) -> Int[Array, " M"]:
        """The client's rows in random order, padding last; it does not touch the order."""
        draw = jax.random.uniform(key, rows.shape)
        return rows[jnp.argsort(jnp.where(jnp.arange(rows.shape[0]) < size, draw, jnp.inf))]

    def train_chunk(
        key: PRNGKeyArray,
        params: Params,
        clients: ClientData,
        chunk_clients: Int[Array, " ..."],
        pull: Pull | None,
        each: Callable,
        gradients: bool,
    ) -> tuple[Params, Float[Array, " ..."], Params]:
        """Train some clients side by side; ``each`` is ``vmap``, or nothing for one client."""
        # No batch is larger than the largest client: "everything at once" costs no padding.
        batch_size = min(largest_batch, clients.train.shape[1])
        sizes = clients.train_size.at[chunk_clients].get(mode="fill", fill_value=0)
        rows = clients.train.at[chunk_clients].get(mode="clip")
        rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -rows.shape[-1] % batch_size)])
        client_keys = each(partial(keys.for_client, key))(chunk_clients)
        towards = each(partial(_combined, pull))(chunk_clients) if pull is not None else None

        def step(epoch_key, params, optimizer_state, order, size, towards, batch):
            start = batch * batch_size
            examples = lax.dynamic_slice(order, (start,), (batch_size,))
            weight = (start + jnp.arange(batch_size) < size).astype(jnp.float32)
            loss, gradient = jax.value_and_grad(task.loss)(
                params,
                clients.x[examples],
                clients.y[examples],
                weight,
                keys.for_batch(epoch_key, batch),
            )
            met = jax.tree.map(lambda g: g * jnp.sum(weight), gradient if gradients else None)
            if towards is not None:
                strength, target = towards
                pulled = jax.tree.map(
                    lambda g, w, t: g + strength * w - t, gradient, params, target
                )
                chosen = pull.chosen if pull else None
                gradient = pulled if chosen is None else select(chosen, pulled, gradient)
            updates, next_state = optimizer.update(gradient, optimizer_state, params)
            stepped = optax.apply_updates(params, updates), next_state
            active = start < size
            params, optimizer_state = jax.tree.map(
                lambda new, old: jnp.where(active, new, old), stepped, (params, optimizer_state)
            )
            loss = jnp.where(active, loss * jnp.sum(weight), 0.0)
            return params, optimizer_state, loss, jax.tree.map(lambda g: active * g, met)

        def epoch(number, carry):
            params, optimizer_state, *_ = carry
            epoch_keys = each(lambda client_key: keys.for_epoch(client_key, number))(client_keys)
            orders = each(lambda k, r, s: shuffled(keys.for_shuffling(k), r, s))(
                epoch_keys, rows, sizes
            )

            def one_batch(batch, carry):
                params, optimizer_state, total, gathered = carry
                params, optimizer_state, loss, met = each(partial(step, batch=batch))(
                    epoch_keys, params, optimizer_state, orders, sizes, towards
                )
                gathered = jax.tree.map(jnp.add, gathered, met)
                return params, optimizer_state, total + loss, gathered

            steps = (jnp.max(sizes) + batch_size - 1) // batch_size
            start = params, optimizer_state, jnp.zeros(jnp.shape(sizes)), nothing
            return lax.fori_loop(0, steps, one_batch, start)

        nothing = jax.tree.map(jnp.zeros_like, params if gradients else None)
        start = params, each(optimizer.init)(params), jnp.zeros(jnp.shape(sizes)), nothing
        params, _, loss, gradient = lax.fori_loop(0, epochs, epoch, start)
        sizes = jnp.maximum(sizes, 1)
        gradient = jax.tree.map(
            lambda g: g / sizes.reshape(*sizes.shape, *[1] * (g.ndim - sizes.ndim)), gradient
        )
        return params, loss / sizes, gradient

    def train_some(
        shared: Any, dealt: Any, chosen: Params | None, gradients: bool
    ) -> tuple[Params, Float[Array, " S"], Params]:
        """Train the clients that one device is dealt, a chunk at a time."""
        key, clients, pull = shared
        params, numbers = dealt
        pull = None if pull is None else pull._replace(chosen=chosen)
        count = numbers.shape[0]
        width = min(chunk or chunk_for_backend(count), count)
        # Largest first, so that a chunk's clients have about as many steps as each other.
        # Past the end is a row that does not exist: read as an empty client, never written.
        by_size = jnp.argsort(-clients.train_size[numbers])
        by_size = jnp.pad(by_size, (0, -count % width), constant_values=count)
        each: Callable = jax.vmap if width > 1 else _alone

        def one_chunk(number, carry):
            if width == 1:
                rows = by_size[number]
            else:
                rows = lax.dynamic_slice(by_size, (number * width,), (width,))
            mine = jax.tree.map(lambda leaf: leaf.at[rows].get(mode="clip"), carry[0])
            who = numbers.at[rows].get(mode="fill", fill_value=clients.n_clients)
            results = train_chunk(key, mine, clients, who, pull, each, gradients)
            return jax.tree.map(
                lambda leaf, new: leaf.at[rows].set(new, mode="drop"), carry, results
            )

        chunks = by_size.shape[0] // width
        gradient = jax.tree.map(jnp.zeros_like, params if gradients else None)
        return lax.fori_loop(0, chunks, one_chunk, (params, jnp.zeros(count), gradient))

    def train(
        key: PRNGKeyArray,
        params: Params,
        clients: ClientData,
        pull: Pull | None = None,
        gradients: bool = False,
        cohort: participation.Cohort = None,
    ) -> tuple[Params, ...]:
        count, chosen = clients.n_clients, None if pull is None else pull.chosen
        shared = key, clients, None if pull is None else pull._replace(chosen=None)
        dealt = participation.rows((params, jnp.arange(count, dtype=jnp.int32)), cohort)
        some = partial(train_some, chosen=chosen, gradients=gradients)
        results = over_clients(some, shared, dealt)
        nothing = jax.tree.map(jnp.zeros_like, params if gradients else None)
        results = participation.put((params, jnp.full(count, jnp.nan), nothing), cohort, results)
        return results if gradients else results[:2]

    return LocalTraining(init=task.init, train=train)


def _alone(function: Callable) -> Callable:
    """What stands in for ``vmap`` when a chunk is a single client without a leading axis."""
    return function


def _combined(pull: Pull, client: Int[Array, ""]) -> tuple[Float[Array, ""], Params]:
    """Total strength of a client's pull, and its anchors' sum weighted by their strengths.

    The gradient ``Σ_j weight_j (w − anchor_j)`` is then ``total · w − sum``.
    """
    which, weight = pull.which.at[client].get(mode="clip"), pull.weight.at[client].get(mode="clip")

    # Written as a sum, not a product: accelerators round the factors of a product by default.
    def weighted_sum(bank):
        return jnp.sum(weight.reshape(-1, *[1] * (bank.ndim - 1)) * bank[which], axis=0)

    return jnp.sum(weight), jax.tree.map(weighted_sum, pull.anchors)
