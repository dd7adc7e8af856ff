"""DemLearn-Rep against the reference of DemLearn in NumPy, with representations and heads."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from by_steps import batches, rounds

from demjax import classification, demlearn, demlearn_rep, keys, local_training
from demjax.clients import participation
from demjax.clients.representation import parts_of
from demjax.models import CNN, Linear
from demjax.pytrees import stack_copies
from tests.algorithms.hierarchical.test_demlearn import Reference

LOCAL = local_training(
    tiny.task(dropout=False), optax.sgd(tiny.RATE), epochs=tiny.EPOCHS, batch_size=tiny.BATCH
)
CLIENTS = tiny.clients()
KEY = jax.random.key(3)


def descended(key, model, client, name, epochs, anchor=None, prox=0.0):
    """A model with one of its two arrays trained, near an anchor, and the loss at last."""
    total = 0.0
    for x, y, last in batches(key, CLIENTS, client, epochs=epochs):
        loss, slope = tiny.gradient(model, x, y)
        step = slope[name] if anchor is None else slope[name] + prox * (model[name] - anchor[name])
        model = model | {name: model[name] - tiny.RATE * step}
        total += loss * len(y) * last
    return model, total / tiny.SIZES[client]


class WithHeads(Reference):
    """After some rounds ``w`` is a representation and ``b`` a head; level 1 mixes ``lower``."""

    def __init__(self, *arguments, whole, lower, head_epochs, **options):
        super().__init__(*arguments, **options)
        self.whole, self.lower, self.head_epochs = whole, lower, head_epochs

    def looked_at(self):
        of = [self.agents[n] for n in self.known]
        return np.stack([tiny.vector(one if self.number < self.whole else one["w"]) for one in of])

    def mix_groups(self, group):
        if self.number < self.whole:
            return super().mix_groups(group)
        for child in group.children:
            if child.level == 0:
                mixed = tiny.combine((1 - self.mix, child.model), (self.mix, group.model))
                child.model = child.model | {name: mixed[name] for name in self.lower}
            self.mix_groups(child)

    def chosen(self, new, old):
        return new if self.number < self.whole else old | {"w": new["w"]}

    def begin(self, n):
        own, anchors = super().begin(n)
        if self.number >= self.whole and self.number > 0:
            own = own | {"w": anchors[0][1]["w"]}
        return own, anchors

    def round(self, key):
        who = participation.draw(key, self.count, self.cohort)
        who = list(range(self.count)) if who is None else np.asarray(who).tolist()
        losses = np.full(self.count, np.nan)
        by_parts = self.number >= self.whole
        for n in who:
            model, anchors = self.begin(n)
            if by_parts:
                model, _ = descended(key, model, n, "b", self.head_epochs)
                anchor = anchors[0][1] if anchors else None
                second = keys.for_second_stage(key)
                self.agents[n], losses[n] = descended(
                    second, model, n, "w", tiny.EPOCHS, anchor, self.prox
                )
            else:
                self.agents[n], losses[n] = tiny.learn(
                    key, model, CLIENTS, n, anchors=anchors, dropout=False
                )
        self.last[who] = self.number
        regroup = self.number % self.period == 0
        if regroup:
            self.root = self.build()
        self.average(self.root, 1)
        for group in self.root.below():
            keep = 0 if regroup else 1 - self.soft
            group.model = tiny.combine((1 - keep, group.mean), (keep, group.model or group.mean))
        self.mix_groups(self.root)
        for n in who:
            parent = self.root.path(n)[-1].model
            mixed = tiny.combine((1 - self.mix, self.agents[n]), (self.mix, parent))
            self.agents[n] = self.chosen(mixed, self.agents[n])
        self.number += 1
        return losses


@pytest.mark.parametrize(
    ("whole", "lower", "options"),
    [
        (2, ("w",), {"levels": 2, "prox": 0.3, "period": 2}),
        (1, (), {"levels": 3, "prox": 0.5}),
        (0, ("w",), {"levels": 2, "prox": 0.3, "cohort": 3, "linkage": "single"}),
    ],
)
def test_every_round_is_that_of_the_reference(whole, lower, options):
    named = {"group_layers": lower} if lower else {}
    asked = {"whole_rounds": whole, "head_layers": ("b",), "head_epochs": 2, **named, **options}
    algorithm = demlearn_rep(LOCAL, **asked)
    start = tiny.float64(LOCAL.init(KEY))
    options = {"whole": whole, "lower": lower, "head_epochs": 2, "soft": 0.9, **options}
    reference = WithHeads(start, CLIENTS, **options)
    for key, models, info in rounds(algorithm, KEY, CLIENTS, 5):
        losses = reference.round(key)
        np.testing.assert_allclose(info.loss, losses, rtol=5e-5, atol=5e-5)
        tiny.close(tiny.unstack(models.client), reference.deployed(), 5e-5)
        found, wanted = tiny.groups_of(models), reference.groups()
        assert found.keys() == wanted.keys()
        for group, model in wanted.items():
            tiny.close(found[group], model, 5e-5)


def test_the_first_rounds_are_demlearns():
    one, other = (
        [models for _, models, _ in rounds(algorithm, KEY, CLIENTS, 3)]
        for algorithm in (
            demlearn_rep(LOCAL, whole_rounds=2, head_layers=("b",)),
            demlearn(LOCAL, soft=0.9),
        )
    )
    tiny.close([m.client for m in one[:2]], [m.client for m in other[:2]], 1e-6)
    assert tiny.differ(tiny.unstack(one[2].client), tiny.unstack(other[2].client))


def test_in_the_papers_network_level_1_mixes_the_convolutions():
    model = CNN(classes=3, filters=(2, 2), hidden=4)
    task = classification(model, jnp.zeros((8, 8, 1)))
    local, models = local_training(task, optax.sgd(0.1)), stack_copies(task.init(KEY), 2)
    clients = CLIENTS._replace(x=jnp.zeros((len(CLIENTS.x), 8, 8, 1)))
    parts = parts_of("DemLearn-Rep", local, models, clients, (), (), 3)
    mixed = [
        [name for name, layer in some.items() if all(jax.tree.leaves(layer))]
        for some in (parts.head, *parts.reached)
    ]
    convolutions = ["Conv2D_0", "Conv2D_1"]
    # the output layer is called `Dense_0`, the hidden one `Dense_1`
    assert mixed == [["Dense_0"], [*convolutions, "Dense_1"], convolutions, [], []]


def test_a_model_of_one_layer_and_numbers_out_of_their_range_are_refused():
    local = local_training(classification(Linear(3), CLIENTS.x[0]), optax.sgd(0.1))
    with pytest.raises(ValueError, match="DemLearn-Rep needs a model of at least 2 layers"):
        demlearn_rep(local).init(KEY, CLIENTS)
    with pytest.raises(ValueError, match="demlearn_rep needs whole_rounds as 0 or more, but -1"):
        demlearn_rep(LOCAL, whole_rounds=-1)
