"""What local training is to algorithms: functions that they are assembled from."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from demjax.base import Params
from demjax.clients.private_steps import Private


class LocalTraining(NamedTuple):
    """How clients learn on their own.

    Attributes:
        init: ``(key) -> model``: the model that all clients start from.
        train: ``(key, models, clients, proximal=None, gradients=False, cohort=None, *,
            correction=None, correction_weight=1.0, trained=None, extra_loss=None, epochs=None) ->
            (models, loss[N])``:
            local training of every client from its row of the stacked ``models``, which come back
            as the kind of thing that was given; the loss is the task's mean over the examples of
            the last epoch, as met during training. What an algorithm may add, all of it or nothing:

            - ``proximal``: a ``ProximalTerm`` towards anchors;
            - ``correction``: added to every gradient, times ``correction_weight``: stacked models,
              a row for each client (FedDyn), or one model for all;
            - ``trained``: which leaves train, a pytree of plain truth values (FedRep); all others
              keep their bits;
            - ``extra_loss``: ``(model, x[B], y[B], weight[B], key, client) -> scalar``, added to
              the task's loss of a batch (MOON, distillation);
            - ``epochs``: passes over a client's examples, in place of the usual number.

            With ``gradients=True`` a third result, stacked like ``models``: the gradient of the
            loss and the extra loss, averaged as the loss is, without proximal term and
            correction. With ``cohort``, as in ``clients.participation``, only its clients train;
            the others' models come back as they were, with a loss of NaN and a gradient of 0.
        begin: ``(own, given) -> models``: what clients hold who are given another's models,
            stacked as theirs: these, but with their own batch statistics where they keep them.
            Algorithms ask it wherever a client starts from, or takes on, what is not its own.
        state: As of the task: which leaves are state, which a server averages but does not step.
        mean: ``(key, model, clients, weight[N], cohort=None, own=None) -> (model, loss[N])``: the
            weighted mean of what clients make of one model that all start from, in the memory of
            a chunk: for systems that need no more of a client's training. ``own`` are the models
            whose state they keep, as in ``begin``.
        steps: ``(key, states, clients, step, *, cohort=None, epochs=None, around=None) -> (states,
            loss[N])``:
            the same batches by an algorithm's own ``step``, for systems whose clients do more in a
            step than descend (pFedMe, Per-FedAvg, APFL). States are any pytree of stacked models
            and of arrays ``[N, ...]``; ``step(state, batch, slope) -> (state, loss)`` is of one
            client, whose stacked models it sees as plain pytrees; ``slope(model, batch)`` gives
            the task's loss, its gradient, and the model with its state after the batch. ``around``
            is ``(enter, leave)``: what steps change, of a client's state, and the state again, so
            that what nobody needs between rounds takes the memory of a chunk.
        batches: ``(clients, epochs=None, key=None) -> int[N]``: how many steps each client makes,
            in the round of a key where some straggle.
        optimizer: What makes a step of a gradient, for an algorithm's own step.
        predict: As of the task: ``(model, x[B]) -> outputs[B]`` in evaluation mode, or ``None``.
        features: ``(model, batch) -> float[B, D]``: what a model's last layer is given, in training
            mode, for ``slope(model, batch, of_features)``; ``None`` where a model tells none.
        losses: As of the task: ``(outputs[B], y[B]) -> float[B]``, or ``None``.
        private: How gradients of examples are clipped and noised; ``None`` where they are not.
        epochs: Passes over a client's examples, if a call says nothing else.
    """

    init: Callable[[PRNGKeyArray], Params]
    train: Callable[..., tuple[Any, ...]]
    begin: Callable[[Params, Params], Params] = lambda own, given: given
    state: Callable[[Params], Params] | None = None
    mean: Callable[..., tuple[Params, Float[Array, " N"]]] | None = None
    steps: Callable[..., tuple[Any, Float[Array, " N"]]] | None = None
    batches: Callable[..., Int[Array, " N"]] | None = None
    optimizer: optax.GradientTransformation | None = None
    predict: Callable[..., Any] | None = None
    features: Callable[..., Float[Array, " B D"]] | None = None
    losses: Callable[..., Float[Array, " B"]] | None = None
    private: Private | None = None
    epochs: int = 1


class TrainingInfo(NamedTuple):
    """What algorithms tell of a round in which nothing but training is to be told.

    Attributes:
        loss: Mean training loss of each client in its last epoch, of the personal model where it
            has one, without proximal terms; NaN outside the cohort.
    """

    loss: Float[Array, " N"]
