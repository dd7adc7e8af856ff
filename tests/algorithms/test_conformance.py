"""What every registered algorithm keeps to; ``MORE`` are further settings of some of them."""

import inspect
import re
import typing
from collections import Counter
from functools import cache, partial
from itertools import combinations, pairwise
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from needs import OPTIONS, TASKS, task_of

import demjax
from demjax import (
    Models,
    algorithms,
    apfl,
    cfl,
    demlearn,
    fedadam,
    fedala,
    fedavg,
    fedavgm,
    feddyn,
    fednova,
    fedprox,
    fixed_tree,
    fl_hc,
    ifca,
    local_training,
    moon,
    per_fedavg,
    pfedme,
    q_fedavg,
    scaffold,
    simulate,
    watch,
)
from demjax.backend import policy
from demjax.backend.collectives import collectives
from demjax.backend.placement import state_shardings, stored_evenly
from demjax.backend.policy import compiling_for, storing_models
from demjax.backend.sharding import spread_over
from demjax.base import NO_GROUP
from demjax.clustering import counts, updates
from demjax.hierarchy import from_parent
from demjax.models import CNN, MLP
from demjax.registry import ALGORITHMS
from demjax.simulation.scored import scored_models
from demjax.tasks.classification import classification

MORE = {
    "demlearn, every option": partial(
        demlearn, levels=2, prox=0.3, period=2, soft=0.5, amplification=1.15, linkage="ward"
    ),
    "demlearn, of every kind": partial(
        demlearn,
        cut=counts((4, 2), min_size=2),
        features=updates(),
        mix=(0.6, 0.4, 0.2),
        weighting=("clients", "examples", "examples"),
        start=from_parent,
        average_layers=("w",),
        prox=0.3,
        period=2,
    ),
    "demlearn, earlier version": partial(demlearn, beta=lambda number: 0.7**number, period=2),
    "fedavg, every option": partial(fedavg, mix=0.6, server_optimizer=optax.adam(0.1)),
    "apfl, adaptive": partial(apfl, alpha=0.3, alpha_lr=0.5, weighting="examples"),
    "per_fedavg, hessian-free": partial(
        per_fedavg, order="hessian-free", server_optimizer=optax.adam(0.1)
    ),
    "pfedme, every option": partial(
        pfedme, prox=2.0, personal_steps=2, server_optimizer=optax.adam(0.1), weighting="examples"
    ),
    "fednova, near": partial(fednova, prox=0.5, measure_at="trained"),
    "scaffold, every option": partial(
        scaffold, server_lr=0.5, weighting="examples", measure_at="trained"
    ),
}
# Groups that follow from clients' numbers, given by hand where those are permuted.
GIVEN = {
    "fixed_tree": lambda order: {"client_groups": np.array([order // 2, order // 4])},
    "hierfavg": lambda order: {"client_groups": order * 5 // len(order)},
}
FACTORIES = {
    c.name: c.make for c in ALGORITHMS.choices() if c.facts["module"].startswith("demjax.")
}
OWN = {name: partial(make, **OPTIONS.get(name, {})) for name, make in FACTORIES.items()}
ROWS = OWN | MORE
SWEEPS = {
    "fedala": (
        fedala,
        {"weight_lr": (0.0, 9.0), "sampled": (50.0, 100.0)},
        {"head_layers": ("b",)},
    ),
    "apfl": (apfl, {"alpha": (0.2, 0.8), "alpha_lr": (0.0, 0.5)}, {}),
    "per_fedavg": (per_fedavg, {"personal_lr": (0.01, 0.5)}, {}),
    "demlearn": (
        demlearn,
        {
            "mix": (0.3, 0.9),
            "prox": (0.0, 0.5),
            "soft": (0.5, 1.0),
            "amplification": (1.0, 1.2),
            "amplified_rounds": (1, 2),
        },
        {"levels": 2, "period": 2},
    ),
    "cfl": (cfl, {"eps1": (0.0, 9.0), "eps2": (0.0, 0.1)}, {"split_after": 1}),
    "fl_hc": (fl_hc, {"threshold": (0.0, 0.9)}, {"rounds_before": 1}),
    "ifca": (ifca, {"gradient_lr": (0.1, 0.9)}, {"averaging": "gradients"}),
    "fedavg": (fedavg, {"mix": (0.3, 0.9)}, {}),
    "fedadam": (
        fedadam,
        {
            "server_lr": (0.1, 0.3),
            "server_b1": (0.5, 0.9),
            "server_b2": (0.9, 0.99),
            "adaptivity": (0.001, 0.1),
        },
        {},
    ),
    "fedavgm": (fedavgm, {"server_lr": (0.5, 1.0), "server_momentum": (0.0, 0.9)}, {}),
    "feddyn": (feddyn, {"prox": (0.0, 0.9)}, {}),
    "fednova": (fednova, {"prox": (0.1, 0.9)}, {}),
    "fedprox": (fedprox, {"prox": (0.1, 0.9)}, {}),
    "pfedme": (pfedme, {"prox": (0.5, 5.0), "personal_lr": (0.05, 0.3)}, {}),
    "moon": (moon, {"contrast": (0.1, 9.0), "temperature": (0.2, 0.7)}, {}),
    "q_fedavg": (q_fedavg, {"q": (0.1, 3.0), "lipschitz": (1.0, 9.0)}, {}),
    "scaffold": (scaffold, {"server_lr": (0.3, 1.0)}, {}),
    "fixed_tree": (
        fixed_tree,
        {"mix": (0.3, 0.9), "prox": (0.0, 0.5), "soft": (0.5, 1.0), "recency": (0.2, 0.9)},
        {"cohort": 6},
    ),
}
each_row = pytest.mark.parametrize("row", ROWS)

CLIENTS = tiny.clients()
FILLED = tiny.clients(sizes=(12, 6, 4, 3, 12, 2, 6, 1))
"""Batches of 12 that are filled up hold each example as often as any other, whatever the order."""
COUNT = len(tiny.SIZES)
ROUNDS = 4
KEY, OTHER_KEY = jax.random.key(11), jax.random.key(12)
KEYS = jnp.stack([KEY, OTHER_KEY])


def one_step(key, params, clients, proximal=None, gradients=False, cohort=None):
    """Hardly any training, for a test that is about something else: client n moves towards n."""
    target = jnp.arange(clients.n_clients, dtype=jnp.float32)

    def step(leaf, anchors=None):
        wide = (-1, *[1] * (leaf.ndim - 1))
        moved = leaf - 0.2 * (leaf - target.reshape(wide))
        if proximal is None:
            return moved
        which, weight = proximal.which, proximal.weight
        return moved - 0.2 * weight[:, 0].reshape(wide) * (moved - anchors[which[:, 0]])

    trees = (params,) if proximal is None else (params, proximal.anchors)
    moved = jax.tree.map(step, *trees)
    return jax.tree.map(step, moved, *trees[1:]), jnp.zeros(clients.n_clients)


def training(task):
    return local_training(task, optax.sgd(tiny.RATE), epochs=2, batch_size=tiny.BATCH)


def smallest_task(row, **options):
    return task_of(row.split(",")[0], **options)


def counting(row):
    """The algorithm of a row, its task, and how often Python goes through them."""
    seen, task = Counter(), smallest_task(row)

    def counted(name, function):
        def call(*args):
            seen[name] += 1
            return function(*args)

        return call

    losses = ("loss", "loss_with_state", "loss_with_features")
    made = {name: getattr(task, name) for name in losses if getattr(task, name) is not None}
    task = task._replace(**{name: counted("loss", loss) for name, loss in made.items()})
    algorithm = ROWS[row](training(task))
    return algorithm._replace(round=counted("round", algorithm.round)), task, seen


def themselves(models, clients):
    """In place of the measures: the models of every round are what is recorded."""
    return models


@cache
def simulated(row):
    """Two whole runs side by side, the program that made them, and what was traced for it.

    Leaves have the axis of the keys in front, and then, of the models, that of the rounds.
    """
    algorithm, task, seen = counting(row)

    def whole(key):
        history = simulate(
            algorithm, task, CLIENTS, rounds=ROUNDS, key=key, take_measures=themselves
        )
        return history.measures, history.state

    run = jax.jit(jax.vmap(whole))
    return jax.tree.map(np.asarray, run(KEYS)), run, seen


@cache
def watched(row):
    """The same run a round at a time, on clients whose rows have more padding."""
    algorithm, task, seen = counting(row)
    wider = CLIENTS._replace(
        train=jnp.pad(CLIENTS.train, [(0, 0), (0, 7)], constant_values=5),
        test=jnp.pad(CLIENTS.test, [(0, 0), (0, 3)], constant_values=6),
    )
    moments = watch(algorithm, task, wider, rounds=ROUNDS, key=KEY, take_measures=themselves)
    # a copy, as the next round takes the memory of the state over
    return [jax.tree.map(np.array, (m.measures, m.state)) for m in moments], seen


def test_every_algorithm_is_registered_and_can_be_had_from_the_top():
    assert set(OWN) == set(ALGORITHMS) <= set(demjax.__all__)
    for name, factory in FACTORIES.items():
        assert getattr(algorithms, name) is getattr(demjax, name) is ROWS[name].func is factory
    assert {row.split(",")[0] for row in MORE} | set(SWEEPS) | set(OPTIONS) | set(TASKS) <= set(OWN)


@each_row
def test_the_state_keeps_its_tree_shapes_and_dtypes(row):
    algorithm = ROWS[row](training(smallest_task(row)))
    before = jax.eval_shape(algorithm.init, KEY, CLIENTS)
    after, _ = jax.eval_shape(algorithm.round, KEY, before, CLIENTS)
    assert jax.tree.structure(after) == jax.tree.structure(before)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    assert jax.tree.leaves(before), "a state without a model"


@each_row
def test_many_rounds_are_traced_once(row):
    algorithm, task, many = counting(row)

    def whole(key):
        history = simulate(
            algorithm, task, CLIENTS, rounds=50, key=key, eval_every=2, take_measures=themselves
        )
        return history.measures, history.state

    jax.eval_shape(whole, KEY)
    (_, _, few), (_, watching) = simulated(row), watched(row)
    assert few["round"] == many["round"] == watching["round"] == 1
    # a loop may trace the loss more than once for one round, but not for each
    models = 3 if row == "moon" else 1  # in each step
    assert 1 <= few["loss"] == many["loss"] == watching["loss"] <= 4 * models


def moments_of(factory):
    """The moments that a factory says it can be measured at, as its signature has them."""
    annotation = inspect.signature(factory).parameters["measure_at"].annotation
    literals = [annotation, *typing.get_args(annotation)]
    (found,) = (typing.get_args(one) for one in literals if typing.get_origin(one) is Literal)
    return found


@pytest.mark.parametrize("name", OWN)
def test_every_moment_that_is_declared_can_be_scored_and_the_default_is_one_of_them(name):
    moments, local = moments_of(FACTORIES[name]), training(smallest_task(name))
    assert OWN[name](local).moment in moments
    seen = {}
    for moment in moments:
        options = {"mix": 0.5} if (name, moment) == ("fedavg", "mixed") else {}
        algorithm = OWN[name](local, measure_at=moment, **options)
        assert algorithm.moment == moment

        @jax.jit
        def scored(key, algorithm=algorithm):
            state = algorithm.init(key, CLIENTS)
            for number in range(2):
                state, _ = algorithm.round(jax.random.fold_in(key, number), state, CLIENTS)
            return scored_models(algorithm, key, state, CLIENTS), algorithm.models(state)

        models, held = scored(KEY)
        assert models.client.count == COUNT
        as_held = not tiny.differ(*map(tiny.unstack, (models.client, held.client)), by=0)
        assert as_held == (algorithm.before_scoring is None)
        seen[moment] = models.client
    for one, other in combinations(seen.values(), 2):
        assert tiny.differ(tiny.unstack(one), tiny.unstack(other))


@each_row
def test_the_same_key_gives_the_same_bits_and_another_key_others(row):
    outcome, run, _ = simulated(row)
    tiny.same_bits(run(KEYS), outcome)
    assert tiny.differ(*[tiny.unstack(models.client) for models, _ in tiny.unstack(outcome)])


@each_row
def test_side_by_side_under_vmap_as_one_by_one_and_whatever_the_padding(row):
    (models, state), *_ = tiny.unstack(simulated(row)[0])
    moments, _ = watched(row)
    assert len(moments) == ROUNDS + 1
    for (seen, _), wanted in zip(moments, tiny.unstack(models), strict=True):
        tiny.close(seen, wanted, 5e-6)
    tiny.close(moments[-1][1], state, 5e-6)


@each_row
def test_models_are_well_formed_after_every_round(row):
    history, _ = tiny.unstack(simulated(row)[0])[0]
    assert isinstance(history, Models)
    one = [leaf.shape for leaf in jax.tree.leaves(smallest_task(row).init(KEY))]
    for number in range(ROUNDS + 1):
        moment = jax.tree.map(lambda leaf, n=number: np.asarray(leaf[n]), history)
        client, group, (groups, size), _ = tiny.plain(moment)
        levels, slots = size.shape
        assert groups.dtype == size.dtype == np.int32
        assert groups.shape == (levels, COUNT)
        assert jax.tree.structure(client) == jax.tree.structure(group)
        for own, mean, shape in zip(*map(jax.tree.leaves, (client, group)), one, strict=True):
            assert own.shape == (COUNT, *shape)
            assert mean.shape == (levels, slots, *shape)
            assert own.dtype == mean.dtype == np.float32
            assert np.isfinite(own).all()
            assert np.isfinite(mean).all()
        assert ((groups >= NO_GROUP) & (groups < slots)).all()
        np.testing.assert_array_equal(
            size, [[np.count_nonzero(row == slot) for slot in range(slots)] for row in groups]
        )
        assert (groups[-1] == 0).all(), "the root holds everyone"
        for lower, above in pairwise(groups):
            for slot in set(lower.tolist()) - {NO_GROUP}:
                assert len(set(above[lower == slot].tolist())) == 1, "groups nest"


@cache
def without_randomness(row, order=None):
    """A function ``(clients) -> (models, info)`` of two rounds in which no key matters.

    With an order, clients are in the groups that they are in without it.

    There is no dropout, and one batch for all of a client's examples makes their order rounding.
    """
    task = smallest_task(row, dropout=False)
    local = local_training(task, optax.sgd(tiny.RATE), epochs=2, batch_size=max(tiny.SIZES))
    numbers = np.arange(COUNT) if order is None else np.array(order)
    algorithm = ROWS[row](local, **(GIVEN[row](numbers) if row in GIVEN else {}))
    one_round = jax.jit(algorithm.round)

    def rounds(clients):
        state = algorithm.init(KEY, clients)
        for number in range(2):
            state, info = one_round(jax.random.fold_in(KEY, number), state, clients)
        return algorithm.models(state), info

    return rounds


@each_row
def test_permuting_the_clients_permutes_the_outcome(row):
    order = np.random.default_rng(0).permutation(COUNT)
    clients = FILLED if smallest_task(row).state else CLIENTS
    fields = clients._asdict()
    rows = {name: fields[name][order] for name in fields if name not in ("x", "y")}
    models, info = without_randomness(row)(clients)
    moved = clients._replace(**rows)
    permuted, permuted_info = without_randomness(row, tuple(order))(moved)
    tiny.close(jax.tree.map(lambda leaf: leaf[order], models.client), permuted.client, 1e-5)
    tiny.close(info.loss[order], permuted_info.loss, 1e-5)
    got, groups = tiny.groups_of(permuted), tiny.groups_of(models)
    assert len(got) == len(groups)
    for (level, members), model in got.items():
        tiny.close(model, groups[level, frozenset(order[list(members)].tolist())], 1e-5)


@each_row
def test_no_bit_depends_on_what_fills_the_rows(row):
    fields = {"train": CLIENTS.train_size, "test": CLIENTS.test_size}
    other = {}
    for name, size in fields.items():
        table = getattr(CLIENTS, name)
        other[name] = jnp.where(jnp.arange(table.shape[1]) < size[:, None], table, 5)
    outcomes = [without_randomness(row)(c) for c in (CLIENTS, CLIENTS._replace(**other))]
    tiny.same_bits(*outcomes)


@pytest.mark.parametrize("name", SWEEPS)
def test_numbers_may_be_traced_so_that_one_program_sweeps_them(name):
    factory, numbers, choices = SWEEPS[name]
    local = training(tiny.task())
    if factory in (fedavg, fedprox):  # others show that training itself can be swept
        local = local._replace(train=one_step)

    def outcome(numbers):
        algorithm = factory(local, **choices, **numbers)

        def one_round(number, state):
            return algorithm.round(jax.random.fold_in(KEY, number), state, CLIENTS)[0]

        state = algorithm.init(KEY, CLIENTS)
        return algorithm.models(jax.lax.fori_loop(0, 3, one_round, state))

    swept = jax.jit(jax.vmap(outcome))({key: jnp.asarray(pair) for key, pair in numbers.items()})
    single = jax.jit(partial(outcome, {key: pair[1] for key, pair in numbers.items()}))()
    tiny.close(jax.tree.map(lambda leaf: leaf[1], swept), single, 1e-5)
    ends = [jax.tree.map(lambda leaf, n=n: leaf[n], swept.client) for n in range(2)]
    assert tiny.differ(*[tiny.unstack(end) for end in ends])


def called(algorithm, clients, platform):
    """The text of a round lowered for a device that need not be here, and what it calls outside."""
    state = jax.eval_shape(algorithm.init, KEY, clients)
    with compiling_for({"cuda": "gpu"}.get(platform, platform)):
        export = jax.export.export(jax.jit(algorithm.round), platforms=[platform])
        text = export(KEY, state, clients).mlir_module()
    return text, set(re.findall(r"custom_call @(\w+)", text))


ACCELERATORS = pytest.mark.parametrize("platform", ["cuda", "tpu"])


@ACCELERATORS
@each_row
def test_a_round_lowers_for_accelerators_without_a_callback(row, platform):
    text, calls = called(ROWS[row](training(smallest_task(row))), CLIENTS, platform)
    assert "stablehlo.dot_general" in text
    assert not [name for name in calls if "callback" in name]


@each_row
def test_models_in_one_array_have_the_outcome_of_models_in_leaves(row, monkeypatch):
    wanted = without_randomness(row)(CLIENTS)
    monkeypatch.setattr(policy, "widest_gathered_row", lambda: 1)  # as of large models on a TPU
    with compiling_for("tpu"):
        got = without_randomness.__wrapped__(row)(CLIENTS)
    (stored,) = jax.tree.leaves(got[0].client)
    assert stored.shape == (COUNT, 1024)
    assert len(jax.tree.leaves(wanted[0].client)) > 1
    tiny.close(tiny.plain(got), tiny.plain(wanted), 1e-5)


@each_row
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_state_in_16_bits_keeps_its_tree_shapes_and_dtypes(row, platform):
    task = smallest_task(row)
    algorithm = ROWS[row](training(task))
    with compiling_for(platform), storing_models("bf16"):
        before = jax.eval_shape(algorithm.init, KEY, CLIENTS)
        after, _ = jax.eval_shape(algorithm.round, KEY, before, CLIENTS)
        models = jax.eval_shape(algorithm.models, after)
    assert after == before
    stored = {leaf.dtype.name for leaf in jax.tree.leaves(models.client)}
    # Batch statistics stay as they are.
    assert stored == {"bfloat16"} | ({"float32"} if task.state is not None else set())
    for leaf in jax.tree.leaves(tiny.plain(jax.eval_shape(lambda m: tiny.plain(m), models)[:2])):
        assert leaf.dtype == np.float32


# Adam divides a step by its own size, and MOON compares a model with what it began from: where
# these are near 0 in single precision, rounding decides which way they go.
ROUNDING_DECIDES = {"moon", "per_fedavg, hessian-free"}


@pytest.mark.parametrize("row", sorted(set(ROWS) - ROUNDING_DECIDES))
def test_models_in_16_bits_have_the_outcome_of_models_in_32_to_rounding(row):
    wanted, heard = without_randomness(row)(CLIENTS)
    with storing_models("bf16"):
        got, info = without_randomness.__wrapped__(row)(CLIENTS)
        with compiling_for("gpu"):
            flat, also = without_randomness.__wrapped__(row)(CLIENTS)
    # Of two rounds, in each of which models are written about twice, to 8 binary digits.
    tiny.close(tiny.plain(got)[:2], tiny.plain(wanted)[:2], 2.0**-7)
    tiny.close(tiny.plain(flat)[:2], tiny.plain(got)[:2], 2.0**-7)
    tiny.same_bits(got.hierarchy, wanted.hierarchy)
    tiny.same_bits(flat.hierarchy, wanted.hierarchy)
    tiny.close(info.loss, heard.loss, 2.0**-6)
    tiny.close(also.loss, heard.loss, 2.0**-6)
    assert tiny.differ(*[tiny.unstack(m.client) for m in (got, wanted)], by=1e-6)


class Normalized(nn.Module):
    """Two dense layers, and batch normalization between them."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(300)(x))
        return nn.Dense(3)(nn.relu(x))


@pytest.mark.parametrize("count", [10, 9])
@pytest.mark.parametrize("row", OWN)
def test_models_of_clients_are_never_gathered_from_several_devices(row, count):
    clients = tiny.clients((7, 3, 4, 5, 6, 2, 3, 4, 5, 3)[:count], (1,) * count)
    model = Normalized() if row in TASKS else MLP(classes=3, hidden=(300,))
    task = classification(model, clients.x[0])
    # Scored as they were trained, so that they are held; one system has no clients' models at all.
    held = {"measure_at": "trained"} if "trained" in moments_of(FACTORIES[row]) else {}
    algorithm = unspread = FACTORIES[row](training(task), **held)
    one = sum(leaf.size for leaf in jax.tree.leaves(task.init(KEY)))
    with spread_over(2):
        algorithm = stored_evenly(algorithm, clients)
        state = jax.eval_shape(algorithm.init, KEY, clients)
        where = state_shardings(state, clients.n_clients)
        state = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            state,
            where,
        )
        asked = {"donate_argnums": 1, "out_shardings": (where, None), "keep_unused": True}
        program = jax.jit(algorithm.round, **asked).lower(KEY, state, clients).compile()
    # A cohort's models, which one system always has, go to where they are trained.
    least = 4 * one * (count if row == "power_of_choice" else 1)
    assert max(collectives(program.as_text()).get("all-gather", [0])) < least
    # A device is given 5 of the clients' models, which is a half, or 5 of 9.
    own, rest = 0, sum(leaf.nbytes for leaf in clients) + jax.random.key_data(KEY).nbytes
    for leaf in jax.tree.leaves(jax.eval_shape(unspread.init, KEY, clients)):
        size, rows = leaf.size * leaf.dtype.itemsize, leaf.shape[0] if leaf.ndim > 1 else 0
        own, rest = (own + size, rest) if rows == count else (own, rest + size)
    assert own >= 4 * one * count or row == "centralized"
    told = program.memory_analysis().argument_size_in_bytes
    assert told <= own * 5 / count + rest + 64


@ACCELERATORS
def test_a_round_of_convolutions_lowers_for_accelerators_as_products(platform):
    task = classification(CNN(classes=3, filters=(2, 3), hidden=4), jnp.zeros((8, 8, 1)))
    clients = CLIENTS._replace(x=jnp.zeros((len(CLIENTS.x), 8, 8, 1)))
    text, calls = called(fedavg(training(task)), clients, platform)
    assert "stablehlo.convolution" not in text
    assert not [name for name in calls if "callback" in name]


@ACCELERATORS
def test_a_callback_would_not_lower(platform):
    algorithm = demlearn(training(tiny.task()), levels=2, linkage_backend="scipy")
    with pytest.raises(ValueError, match=f"different from the lowering platform {platform}"):
        called(algorithm, CLIENTS, platform)
