"""The contracts every module speaks, and the letters every shape is written in.

| letter | meaning                                                           |
|--------|-------------------------------------------------------------------|
| `N`    | clients (the paper of DemLearn: learning agents)                  |
| `L`    | levels, `K + 1`: row 0 is the lowest level, row `K` the root      |
| `G`    | group slots on a level (`2**K` for a tree of binary splits)       |
| `T`    | pooled examples, held once for all clients                        |
| `M`    | most training examples of any client; `V` the same for tests      |
| `B`    | examples in a batch                                               |
| `P`    | parameters of one model                                           |
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

NO_GROUP = -1
"""Marks, in ``Hierarchy.groups``, a client that belongs to no group of a level."""


Params = Any
"""A pytree of arrays: one model ``[...]``, or many, stacked on leading axes."""


class ClientData(NamedTuple):
    """All clients' examples: held once, with a row of indices for each client.

    Attributes:
        x: Inputs of the pooled examples.
        y: Labels of the pooled examples, ``0 … classes - 1``; or targets, floating point.
        train: Indices into ``x`` of each client's training examples; entries from
            ``train_size`` on are padding (any valid index).
        train_size: Number of training examples of each client, at least 1.
        test: Indices into ``x`` of each client's test examples, padded likewise.
        test_size: Number of test examples of each client; 0 is possible.
    """

    x: Num[Array, " T *shape"]
    y: Num[Array, " T *target"]
    train: Int[Array, " N M"]
    train_size: Int[Array, " N"]
    test: Int[Array, " N V"]
    test_size: Int[Array, " N"]

    @property
    def n_clients(self) -> int:
        """Number of clients, ``N``."""
        return self.train.shape[0]


class Hierarchy(NamedTuple):
    """A tree of groups as integers, the same shape whatever the tree.

    Attributes:
        groups: Group of each client on each level, row 0 the lowest, the last row the
            root; ``NO_GROUP`` where a client has none on that level.
        size: Number of clients in each group; 0 marks an empty slot.
    """

    groups: Int[Array, " L N"]
    size: Int[Array, " L G"]

    @property
    def levels(self) -> int:
        """Number of levels under the root, ``K``; 0 also without a root."""
        return max(0, self.groups.shape[0] - 1)


class KnownDistances(NamedTuple):
    """Distances of clients that the next clustering begins from, where few train in a round.

    Attributes:
        distances: Of all clients, as they were when they last organised themselves.
        since: The round in which that was: who trained in it or later has changed.
    """

    distances: Float[Array, " N N"]
    since: Int[Array, ""]


class Organization(NamedTuple):
    """How clients last organised themselves into groups.

    Attributes:
        before: Their groups before that, as in ``Hierarchy``.
        merges: SciPy's linkage matrix of the dendrogram that was cut.
        cophenetic: Correlation of the dendrogram's heights and the distances.
        times: How many times they have organised themselves.
        known: Distances that the next time begins from; ``()`` where all are computed anew.
    """

    before: Int[Array, " L N"]
    merges: Float[Array, " N-1 4"]
    cophenetic: Float[Array, ""]
    times: Int[Array, ""]
    known: KnownDistances | tuple[()] = ()


class Models(NamedTuple):
    """What an algorithm would deploy now.

    Attributes:
        client: One model for each client, leaves ``[N, ...]``.
        group: One model for each group slot, leaves ``[L, G, ...]``; ``group[-1, 0]`` is
            the global model. Empty slots hold finite numbers that mean nothing. ``None`` in a
            system without a server, as ``hierarchy.no_server`` makes it.
        hierarchy: Which client is in which group; without a server it has no level, ``L = 0``.
        organization: Where the hierarchy came from, if clients organise themselves.
    """

    client: Params
    group: Params | None
    hierarchy: Hierarchy
    organization: Organization | None = None


class Task(NamedTuple):
    """What one client learns: pure functions of one model, without leading axes.

    Attributes:
        init: ``(key) -> model``: a fresh model.
        loss: ``(model, x[B], y[B], weight[B], key) -> scalar``: the weighted mean loss of a
            batch in training mode; the weights are 1 for an example and 0 for padding.
        score: ``(model, x[B], y[B]) -> float[B]``: how well each example is predicted in
            evaluation mode; for classification 1 where the prediction is right, else 0.
        score_name: What the mean score is called.
        state: ``(model) -> truth values``: for each leaf whether it is state that no gradient
            trains, such as batch statistics; ``None`` if there is none.
        loss_with_state: ``(model, x[B], y[B], weight[B], key) -> (loss, model)``: the same as
            ``loss``, and the model whose state is that after the batch; there wherever ``state``
            is.
        predict: ``(model, x[B]) -> outputs[B]`` in evaluation mode, which extra measures are made
            of; ``None`` if there is no such thing.
        losses: ``(outputs[B], y[B]) -> float[B]``: the loss of each example.
        loss_with_features: The arguments of ``loss -> (loss, model, features[B, D])``: as
            ``loss_with_state``, and what the model's last layer makes its outputs of; ``None`` if
            the model does not tell it, or has but one layer.
        check: ``(clients) -> None``: refuses data that cannot be learned from, such as labels that
            the model has no output for, in a ``ValueError``; asked once, before a run.
    """

    init: Callable[[PRNGKeyArray], Params]
    loss: Callable[..., Float[Array, ""]]
    score: Callable[..., Float[Array, " B"]]
    score_name: str = "accuracy"
    state: Callable[[Params], Params] | None = None
    loss_with_state: Callable[..., tuple[Float[Array, ""], Params]] | None = None
    check: Callable[[ClientData], None] | None = None
    predict: Callable[..., Float[Array, " B *out"]] | None = None
    losses: Callable[..., Float[Array, " B"]] | None = None
    loss_with_features: Callable[..., tuple[Float[Array, ""], Params, Array]] | None = None


class Algorithm(NamedTuple):
    """A learning system: three pure functions, made by a factory such as ``demlearn``.

    Attributes:
        init: ``(key, clients) -> state``: before any round.
        round: ``(key, state, clients) -> (state, info)``: one communication round,
            traceable. The state holds what the next round needs, the info what one may
            want to see of this one.
        models: ``(state) -> Models``: what would be deployed now.
        before_scoring: ``(key, models, clients) -> Models``: what clients still do with these
            before they are scored, such as fine-tuning, and then forget; ``None`` for nothing.
        moment: When client models are scored, such as ``"trained"`` or ``"averaged"``: one of
            those that the factory's ``measure_at`` offers.
    """

    init: Callable[[PRNGKeyArray, ClientData], Any]
    round: Callable[[PRNGKeyArray, Any, ClientData], tuple[Any, Any]]
    models: Callable[[Any], Models]
    before_scoring: Callable[[PRNGKeyArray, Models, ClientData], Models] | None = None
    moment: str = ""
