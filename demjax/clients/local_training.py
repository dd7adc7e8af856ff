"""Every client's local training at once: epochs, short batches, what algorithms add, chunks."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.backend.balance import dealt_out
from demjax.backend.examples import DividedExamples
from demjax.backend.sharding import devices_at_work, over_clients, with_rows_for_nobody
from demjax.base import ClientData, Params, Task
from demjax.clients import participation
from demjax.clients.batches import seen, steps_made
from demjax.clients.chunk import Recipe
from demjax.clients.contract import LocalTraining as LocalTraining
from demjax.clients.contract import TrainingInfo as TrainingInfo
from demjax.clients.device_share import step_some, sum_some, train_some
from demjax.clients.optimizers import of_gradients
from demjax.clients.private_steps import Private, check_private
from demjax.clients.proximal import ProximalTerm
from demjax.clients.statistics import begin_with, check_statistics
from demjax.clients.step import Added, ClientStep, features_of
from demjax.clients.stragglers import Stragglers
from demjax.pytrees import StackedModels, as_pytree, one_of
from demjax.registry import OPTIMIZERS, check_made, check_number, configurable


@configurable
def local_training(
    task: Task,
    optimizer: Annotated[optax.GradientTransformation | str, OPTIMIZERS],
    *,
    epochs: int = 2,
    batch_size: int = 10,
    chunk: int | None = None,
    statistics: str = "average",
    batches_per_epoch: int | None = None,
    stragglers: Stragglers | None = None,
    private: Private | None = None,
) -> LocalTraining:
    """Mini-batch training of every client on its own examples, in one traced program.

    A step is ``w ← w + optimizer(∇loss(w) + Σ_j weight_j (w − anchor_j) + v correction)``. Examples
    are reshuffled each epoch; the last batch of an epoch holds what is left, and its loss is the
    mean over that. (For a model with batch statistics it is filled up with the first examples of
    the epoch, over and over, which count for the statistics alone.) The optimizer starts afresh
    in each round, and so does a schedule that it was given; ``over_rounds`` has one that goes on.

    Clients are trained ``chunk`` at a time in the order of their sizes, and a chunk stops
    after its largest client's last step, so that few steps are wasted on padding as long as
    a chunk is much smaller than all clients together. The outcome does not depend on the
    chunk beyond rounding: all randomness comes from ``keys.for_client``. On a CPU a
    chunk above 1 turns convolutions into grouped ones, which are slow there. In the context of
    ``spread_over``, each device trains its part of the clients.

    Args:
        task: What is learned.
        optimizer: Any Optax optimizer, such as ``optax.sgd(0.05)``; or a name, with what that one
            takes: ``local_training(task, "adam", lr=0.01)``.
        epochs: Passes over a client's examples in a round, at least 1.
        batch_size: Examples in a batch, at least 1.
        chunk: Clients trained at once, at least 1; by default as ``policy`` says.
        statistics: What becomes of a model's state beside parameters, such as batch statistics:
            ``"average"``: averaged and handed out like all else; ``"local"``: each client keeps
            its own; ``"recompute"``: local training starts by taking them anew from the client's
            training examples.
        batches_per_epoch: Batches that an epoch of a round has at most, the first of its random
            order, at least 1; by default all. Passes over all examples that an algorithm asks for
            by itself, as for losses or fine-tuning, stay whole.
        stragglers: Who makes fewer steps in a round, as ``clients.stragglers.stragglers`` draws it;
            by default nobody.
        private: Clips and noises the gradients of single examples; by default nothing does. There
            are no ``steps`` then, whose uses of examples nobody has counted.

    Returns:
        The local training, which algorithms are assembled from.

    Raises:
        ValueError: If task or optimizer is none, epochs, batch size or chunk is below 1, or
            ``statistics`` is not possible.
    """
    made = "a Task, such as classification(model, example) makes"
    check_made("Local training needs task as", task, Task, made)
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("chunk", chunk)):
        check_number("Local training", name, value, 1)
    check_number("Local training", "batches_per_epoch", batches_per_epoch, 1)
    check_statistics(task, statistics)
    if private is not None:
        check_private(task)

    optimizer = of_gradients("Local training", cast(optax.GradientTransformation, optimizer))
    recipe = Recipe(
        task, optimizer, epochs, batch_size, statistics, stragglers, private, batches_per_epoch
    )

    def lasting(epochs: int | None) -> Recipe:
        check_number("Local training", "epochs", epochs, 1)
        if epochs is None:
            return recipe
        return recipe._replace(epochs=epochs, batches_per_epoch=None)

    def train(
        key: PRNGKeyArray,
        models: Params,
        clients: ClientData,
        proximal: ProximalTerm | None = None,
        gradients: bool = False,
        cohort: participation.Cohort = None,
        *,
        correction: Params | None = None,
        correction_weight: Float[Array, ""] | float = 1.0,
        trained: Params | None = None,
        extra_loss: Callable[..., Float[Array, ""]] | None = None,
        epochs: int | None = None,
    ) -> tuple[Params, ...]:
        own, common = _per_client(correction, models)
        added = Added(None, as_pytree(trained), extra_loss)
        if proximal is not None:
            added = added._replace(chosen=as_pytree(proximal.chosen))
            proximal = proximal._replace(chosen=None)
        if cohort is not None:
            cohort = _dealt(clients, cohort, batch_size)
        shared = key, clients, proximal, common, correction_weight
        numbers = participation.numbers(clients.n_clients, cohort)
        divided = participation.rows(models, cohort), numbers, participation.rows(own, cohort)
        many = partial(train_some, lasting(epochs), chunk, moved=cohort is not None)
        some = partial(many, added=added, gradients=gradients)
        new = over_clients(some, shared, divided, nobody=(0, clients.n_clients, 0))
        nothing = jax.tree.map(jnp.zeros_like, models if gradients else None)
        old = models, jnp.full(clients.n_clients, jnp.nan), nothing
        models, loss, gradient = participation.put(old, cohort, new)
        return (models, loss, gradient) if gradients else (models, loss)

    begin = partial(begin_with, task, statistics)

    def mean(
        key: PRNGKeyArray,
        model: Params,
        clients: ClientData,
        weight: Float[Array, " N"],
        cohort: participation.Cohort = None,
        own: Params | None = None,
    ) -> tuple[Params, Float[Array, " N"]]:
        own = own if statistics == "local" else None
        at_home = own is not None or isinstance(clients.x, DividedExamples)
        if cohort is not None or not at_home:  # what everyone has at home stays there
            cohort = _dealt(clients, cohort, batch_size)
        numbers = participation.numbers(clients.n_clients, cohort)
        share = participation.counted(weight, cohort).astype(jnp.float32)
        share = share / jnp.maximum(jnp.sum(share), 1e-30)
        numbers = with_rows_for_nobody(numbers, clients.n_clients)
        rows = share, participation.rows(own, cohort)
        share, own = jax.tree.map(with_rows_for_nobody, rows)
        some = partial(sum_some, recipe, chunk, begin, moved=cohort is not None)
        sums, loss = over_clients(some, (key, clients, model), (numbers, share, own))
        mean = jax.tree.map(lambda total, leaf: jnp.sum(total, 0).astype(leaf.dtype), sums, model)
        return mean, jnp.full(clients.n_clients, jnp.nan).at[numbers].set(loss, mode="drop")

    def steps(
        key: PRNGKeyArray,
        states: Any,
        clients: ClientData,
        step: ClientStep,
        *,
        cohort: participation.Cohort = None,
        epochs: int | None = None,
        around: tuple[Callable, Callable] | None = None,
    ) -> tuple[Any, Float[Array, " N"]]:
        if private is not None:
            raise ValueError(
                "An algorithm with steps of its own, or one that asks clients for their losses, "
                "cannot be private by example: nobody has counted how often it uses an example, "
                "or noised what it asks for; possible is one such as fedavg, fedprox or demlearn."
            )
        if statistics == "recompute":
            raise ValueError(
                "An algorithm with steps of its own takes no statistics 'recompute'; possible is "
                "'average' or 'local'."
            )
        numbers = participation.numbers(clients.n_clients, cohort)
        some = partial(step_some, lasting(epochs), chunk, step, around, moved=cohort is not None)
        divided = participation.rows(states, cohort), numbers
        new = over_clients(some, (key, clients), divided, nobody=(0, clients.n_clients))
        return participation.put((states, jnp.full(clients.n_clients, jnp.nan)), cohort, new)

    def batches(
        clients: ClientData, epochs: int | None = None, key: PRNGKeyArray | None = None
    ) -> Int[Array, " N"]:
        if stragglers is not None and key is not None:
            everyone = jnp.arange(clients.n_clients)
            how = lasting(epochs)
            made = how.epochs, batch_size, jax.vmap, stragglers, how.batches_per_epoch
            return cast(Array, steps_made(key, clients, everyone, *made))
        size, how = min(batch_size, clients.train.shape[1]), lasting(epochs)
        count = seen(clients.train_size, size, how.batches_per_epoch)
        return how.epochs * ((count + size - 1) // size)

    features = None if task.loss_with_features is None else partial(features_of, task)
    own_steps = steps, batches, optimizer, task.predict, features, task.losses
    own = *own_steps, private, epochs
    return LocalTraining(task.init, train, begin, task.state, mean, *own)


def _dealt(
    clients: ClientData, cohort: participation.Cohort, batch_size: int
) -> participation.Cohort:
    """The cohort in an order in which all devices have about as many steps; of one, as it was."""
    if devices_at_work() == 1:
        return cohort
    numbers = participation.numbers(clients.n_clients, cohort)
    size = clients.train_size.at[numbers].get(mode="fill", fill_value=0)
    order = dealt_out(-(-size // batch_size))
    return numbers.at[order].get(mode="fill", fill_value=clients.n_clients)


def _per_client(correction: Params | None, models: Params) -> tuple[Params | None, Params | None]:
    """A correction as rows for each client, or as one for all, whichever it is."""
    if correction is None or isinstance(correction, StackedModels):
        return correction, None
    forms = {
        jnp.ndim(c) - len(w.shape)
        for c, w in zip(jax.tree.leaves(correction), jax.tree.leaves(one_of(models)), strict=True)
    }
    if forms == {1}:
        return correction, None
    if forms == {0}:
        return None, correction
    raise ValueError(
        "A correction needs the form of one model, or of a model for each client, but it has "
        "axes of neither."
    )
