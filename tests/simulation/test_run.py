"""Whole runs: when they are measured, and that both ways to run are the same run."""

import io
from functools import cache

import jax
import numpy as np
import optax
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from demjax import History, demlearn, fedavg, local_only, local_training, simulate, watch
from demjax.simulation.programs import programs
from demjax.simulation.progress import Progress
from demjax.simulation.schedule import measured_rounds

TASK = tiny.task()
LOCAL = local_training(TASK, optax.sgd(tiny.RATE), epochs=1, batch_size=tiny.BATCH)
ALGORITHM = demlearn(LOCAL, levels=2, prox=0.1, period=2)
CLIENTS = tiny.clients()
COUNT = len(tiny.SIZES)
KEY = jax.random.key(13)
ROUNDS = 5


@cache
def simulated():
    return simulate(ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=KEY)


@cache
def watched():
    """All moments; the states are copied, as the next round takes their memory over."""
    moments = watch(ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=KEY, eval_every=[1, 3, 2])
    return [moment._replace(state=jax.tree.map(np.array, moment.state)) for moment in moments]


@cache
def by_hand():
    """The states of the run, from the algorithm's functions and the rule of the keys alone."""
    state = ALGORITHM.init(jax.random.fold_in(KEY, np.uint32(2**32 - 1)), CLIENTS)
    states, one_round = [state], jax.jit(ALGORITHM.round)
    for number in range(ROUNDS):
        state, _ = one_round(jax.random.fold_in(KEY, number), state, CLIENTS)
        states.append(state)
    return states


def counting():
    """Nothing but a count of rounds and a sum of keys, so that a run compiles in no time."""

    def init(key, clients):
        return {"round": jax.numpy.int32(0), "draws": jax.random.uniform(key)}

    def one_round(key, state, clients):
        draw = jax.random.uniform(key)
        return {"round": state["round"] + 1, "draws": state["draws"] + draw}, draw

    return local_only(LOCAL)._replace(init=init, round=one_round, models=lambda state: state)


def run_counting(way, **options):
    """The rounds that were measured, and what was measured in them."""
    options = {"key": KEY, "take_measures": lambda models, clients: models["round"], **options}
    if way is simulate:
        history = simulate(counting(), TASK, CLIENTS, **options)
        return list(map(int, history.round)), list(map(int, history.measures))
    moments = [m for m in watch(counting(), TASK, CLIENTS, **options) if m.measures is not None]
    return [moment.round for moment in moments], [int(moment.measures) for moment in moments]


# ---- when ---------------------------------------------------------------------------------------


@given(rounds=st.integers(1, 300), every=st.integers(1, 400))
def test_measured_are_0_every_so_many_and_the_last(rounds, every):
    measured = measured_rounds(rounds, every)
    assert measured == [n for n in range(rounds + 1) if n % every == 0 or n == rounds]


@given(st.data())
def test_measured_are_the_listed_0_and_the_last_once_and_in_order(data):
    rounds = data.draw(st.integers(1, 60))
    listed = data.draw(st.lists(st.integers(0, rounds)))
    measured = measured_rounds(rounds, listed)
    assert measured == [n for n in range(rounds + 1) if n in listed or n in (0, rounds)]


@given(st.data())
def test_a_listed_round_outside_the_run_is_told(data):
    rounds = data.draw(st.integers(1, 60))
    wrong = data.draw(st.one_of(st.integers(-50, -1), st.integers(rounds + 1, rounds + 50)))
    listed = data.draw(st.permutations([wrong, *data.draw(st.lists(st.integers(0, rounds)))]))
    with pytest.raises(ValueError, match=rf"{rounds} rounds .* {wrong} was given\.$"):
        measured_rounds(rounds, listed)


@pytest.mark.parametrize("way", [simulate, watch])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rounds": 0}, r"rounds .*1.* 0 was given\.$"),
        ({"rounds": -2}, r"rounds .*1.* -2 was given\.$"),
        ({"rounds": 3, "eval_every": 0}, r"eval_every .*1.* 0 was given\.$"),
        ({"rounds": 3, "eval_every": [1, 4]}, r"0 to 3 .* 4 was given\.$"),
    ],
)
def test_impossible_arguments_are_told_in_a_sentence_before_anything_runs(way, options, named):
    with pytest.raises(ValueError, match=named):
        run_counting(way, **options)


@pytest.mark.parametrize("way", [simulate, watch])
@pytest.mark.parametrize(
    ("rounds", "every", "measured"),
    [(1, 1, [0, 1]), (7, 3, [0, 3, 6, 7]), (6, 100, [0, 6]), (9, [4, 2, 4], [0, 2, 4, 9])],
)
def test_a_measurement_is_of_the_round_it_says(way, rounds, every, measured):
    assert run_counting(way, rounds=rounds, eval_every=every) == (measured, measured)


@settings(max_examples=4, deadline=None)
@given(rounds=st.integers(1, 12), every=st.integers(1, 14))
def test_how_often_a_run_is_measured_changes_no_bit_of_it(rounds, every):
    often = simulate(counting(), TASK, CLIENTS, rounds=rounds, key=KEY, take_measures=draws)
    seldom = simulate(
        counting(), TASK, CLIENTS, rounds=rounds, key=KEY, take_measures=draws, eval_every=every
    )
    tiny.same_bits(often.state, seldom.state)
    tiny.same_bits(often.measures[seldom.round], seldom.measures)


def draws(models, clients):
    return models["draws"]


# ---- what ---------------------------------------------------------------------------------------


def test_the_states_are_those_of_the_algorithm_under_the_keys_of_the_rounds():
    for moment, state in zip(watched(), by_hand(), strict=True):
        tiny.close(moment.state, state, 1e-6)
    tiny.close(simulated().state, by_hand()[-1], 1e-6)


def test_the_measures_are_of_the_models_of_their_round():
    own = tiny.test_rows(CLIENTS)
    pooled, examples = np.concatenate(own), np.array([len(rows) for rows in own])
    history = simulated()
    for number, state in enumerate(by_hand()):
        models = ALGORITHM.models(state)
        clients = tiny.float64(tiny.unstack(models.client))
        pairs = zip(clients, own, strict=True)
        right = [tiny.answers(m, CLIENTS, rows) * len(rows) for m, rows in pairs if len(rows)]
        root = tiny.float64(jax.tree.map(lambda leaf: leaf[-1, 0], tiny.plain(models.group)))
        got = jax.tree.map(lambda leaf, n=number: leaf[n], history.measures)
        assert float(got.c_spe) == pytest.approx(sum(right) / examples.sum(), abs=1e-6)
        general = np.mean([tiny.answers(model, CLIENTS, pooled) for model in clients])
        assert float(got.c_gen) == pytest.approx(general, abs=1e-6)
        assert float(got.global_score) == pytest.approx(
            tiny.answers(root, CLIENTS, pooled), abs=1e-6
        )
        tiny.same_bits(got.hierarchy, models.hierarchy)
    assert len(set(np.asarray(history.measures.c_spe).tolist())) > 2, "nothing was learned"


def test_a_watched_run_is_the_simulated_run():
    history = simulated()
    for moment, measures in zip(watched(), tiny.unstack(history.measures), strict=True):
        if moment.measures is not None:
            tiny.close(jax.tree.map(np.asarray, moment.measures), measures, 1e-6)
    tiny.close(watched()[-1].state, history.state, 1e-6)


def test_a_history_has_a_row_for_each_measurement_and_the_last_state():
    history = simulated()
    assert isinstance(history, History)
    assert isinstance(history.round, np.ndarray)
    assert history.round.tolist() == list(range(ROUNDS + 1))
    assert {len(leaf) for leaf in jax.tree.leaves(history.measures)} == {ROUNDS + 1}
    assert history.measures.c_spe.shape == (ROUNDS + 1,)
    assert history.measures.client_gen.shape == (ROUNDS + 1, COUNT)
    assert history.measures.hierarchy.groups.shape == (ROUNDS + 1, 3, COUNT)
    assert int(history.state.round) == ROUNDS


def test_a_watched_run_tells_of_every_round_and_what_it_took():
    moments = watched()
    assert [moment.round for moment in moments] == list(range(ROUNDS + 1))
    assert [m.round for m in moments if m.measures is not None] == [0, 1, 2, 3, ROUNDS]
    for moment in moments:
        assert np.isnan(moment.info.loss).all() == (moment.round == 0)
        assert (moment.round_seconds > 0) == (moment.round > 0)
        assert (moment.measure_seconds > 0) == (moment.measures is not None)
        assert moment.compile_seconds == moments[0].compile_seconds > 0
        assert int(moment.state.round) == moment.round
        if moment.info is not None:
            assert moment.info.loss.shape == (COUNT,)


def test_a_second_run_from_scratch_has_the_same_bits(compiled_anew):
    again = simulate(ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=KEY)
    tiny.same_bits((again.measures, again.state), (simulated().measures, simulated().state))


def test_a_watched_run_goes_a_round_at_a_time():
    """It can be stopped: nothing of a later round has been done before it is asked for."""
    done = []

    def init(key, clients):
        return jax.numpy.int32(0)

    def one_round(key, state, clients):
        jax.debug.callback(lambda number: done.append(int(number)), state)
        return state + 1, None

    algorithm = counting()._replace(init=init, round=one_round)
    moments = watch(
        algorithm, TASK, CLIENTS, rounds=4, key=KEY, take_measures=lambda models, clients: models
    )
    for number in range(3):
        assert next(moments).round == number
        jax.effects_barrier()
        assert done == list(range(number))
    moments.close()
    assert done == [0, 1]


def test_a_whole_run_may_be_called_under_jit():
    def final(key):
        history = simulate(ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=key, eval_every=ROUNDS)
        return history.round, history.measures.client_gen, history.state

    numbers, client_gen, state = jax.jit(final)(KEY)
    assert numbers.tolist() == [0, ROUNDS]
    tiny.close(client_gen, simulated().measures.client_gen[::ROUNDS], 1e-6)
    tiny.close(state, simulated().state, 1e-6)


@pytest.mark.parametrize(("backend", "asks"), [("xla", False), ("scipy", True)])
def test_a_hundred_rounds_are_one_program_that_asks_the_host_only_if_told_to(backend, asks):
    algorithm = demlearn(LOCAL, levels=2, linkage_backend=backend)

    def measures(key):
        return simulate(algorithm, TASK, CLIENTS, rounds=100, key=key, eval_every=50).measures

    program = jax.jit(measures).lower(KEY).as_text()
    assert any(word in program for word in ("callback", "xla_python")) is asks


def test_measures_tell_what_the_tree_looks_like_and_where_it_came_from():
    measures = simulated().measures
    for name, leaf in measures.structure._asdict().items():
        assert leaf.shape == (ROUNDS + 1, 2), name
    size = np.asarray(measures.hierarchy.size)[:, :-1]
    np.testing.assert_array_equal(measures.structure.groups, (size > 0).sum(axis=2))
    np.testing.assert_array_equal(measures.structure.largest, size.max(axis=2))
    # Regrouped in rounds 0, 2 and 4, so that a tree before is known after the third round.
    assert np.asarray(measures.organization.times).tolist() == [0, 1, 1, 2, 2, 3]
    known = ~np.isnan(np.asarray(measures.structure.rand_before)).any(axis=1)
    assert known.tolist() == [False, False, False, True, True, True]
    assert measures.organization.merges.shape == (ROUNDS + 1, COUNT - 1, 4)


def test_without_levels_there_is_nothing_to_tell_of_a_tree():
    def measures(key):
        return simulate(fedavg(LOCAL), TASK, CLIENTS, rounds=1, key=key).measures

    shapes = jax.eval_shape(measures, KEY)
    assert shapes.organization is None
    assert {leaf.shape for leaf in shapes.structure} == {(2, 0)}


def stacked(name, state):
    return (state.client, state.group) if name == "demlearn" else state.client


@pytest.mark.parametrize("name", ["fedavg", "demlearn"])
def test_a_round_writes_its_models_over_the_old_ones(name):
    """Federated averaging starts clients anew, and still makes no second stack of models."""
    algorithm = {"fedavg": fedavg(LOCAL), "demlearn": ALGORITHM}[name]
    parts = programs(algorithm, TASK, CLIENTS, key=KEY)
    state = parts.init(KEY, CLIENTS)
    models = jax.tree.leaves(stacked(name, state))
    assert parts.round.memory_analysis().alias_size_in_bytes >= sum(leaf.nbytes for leaf in models)
    after, _ = parts.round(KEY, np.int32(0), state, CLIENTS)
    assert all(leaf.is_deleted() for leaf in models)
    one_round = jax.jit(algorithm.round)
    wanted, _ = one_round(jax.random.fold_in(KEY, 0), algorithm.init(KEY, CLIENTS), CLIENTS)
    tiny.close(stacked(name, after), stacked(name, wanted), 1e-5)


# ---- only some measures -------------------------------------------------------------------------


EVERY = {"client": 4, "group": 2}


@cache
def seldom():
    """A run whose measures have intervals of their own."""
    return simulate(ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=KEY, measures_every=EVERY)


def test_each_measure_is_taken_when_it_is_due_and_else_nan():
    every, some = simulated(), seldom()
    tiny.same_bits(some.round, every.round)
    for name, due in {
        "c_gen": [0, 4, 5],
        "client_spe": [0, 4, 5],
        "g_gen": [0, 2, 4, 5],
        "global_score": [0, 1, 2, 3, 4, 5],
    }.items():
        wanted, got = (np.array(getattr(one.measures, name)) for one in (every, some))
        if name == "g_gen":
            np.testing.assert_allclose(got[:, -1], wanted[:, -1], atol=1e-6)  # the root's
            wanted, got = wanted[:, :-1], got[:, :-1]
        wanted[[number for number in range(ROUNDS + 1) if number not in due]] = np.nan
        np.testing.assert_allclose(got, wanted, atol=1e-6, err_msg=name)
    tiny.close(some.measures.hierarchy, every.measures.hierarchy)
    tiny.close(some.state, every.state, 1e-6)


def test_a_watched_run_takes_the_same_measures_and_tells_the_same():
    moments = list(watch(ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=KEY, measures_every=EVERY))
    rows = zip(moments, tiny.unstack(seldom().measures), tiny.unstack(seldom().info), strict=True)
    for moment, measures, info in rows:
        tiny.close(jax.tree.map(np.asarray, moment.measures), measures, 1e-6)
        tiny.close(jax.tree.map(np.asarray, moment.info), info, 1e-6)
        assert moment.model_bytes == 4 * (tiny.FEATURES + 1) * tiny.CLASSES


def test_programs_for_other_intervals_are_refused():
    def rounds_done(models, clients, measures=None):
        return models["round"]

    options = {"key": KEY, "take_measures": rounds_done}
    parts = programs(counting(), TASK, CLIENTS, **options)
    wrong = watch(
        counting(), TASK, CLIENTS, rounds=4, compiled=parts, measures_every={"client": 2}, **options
    )
    with pytest.raises(ValueError, match="none that measures group and global alone"):
        next(wrong)
    with pytest.raises(ValueError, match="how many rounds there are"):
        programs(ALGORITHM, TASK, CLIENTS, key=KEY, measures_every=EVERY)


# ---- what a round tells -------------------------------------------------------------------------


def test_a_history_keeps_what_the_round_before_each_measurement_told():
    key = jax.random.key(5)
    history = simulate(
        counting(), TASK, CLIENTS, rounds=7, key=key, eval_every=3, take_measures=draws
    )
    told = [float(jax.random.uniform(jax.random.fold_in(key, number))) for number in range(7)]
    np.testing.assert_allclose(history.info, [np.nan, told[2], told[5], told[6]], rtol=1e-6)


def test_losses_of_a_cohort_are_told_of_those_in_it():
    algorithm = fedavg(LOCAL, cohort=3)
    info = simulate(algorithm, TASK, CLIENTS, rounds=2, key=KEY).info
    assert info.loss.shape == (3, COUNT)
    assert np.isfinite(info.loss).sum(axis=1).tolist() == [0, 3, 3]


# ---- progress -----------------------------------------------------------------------------------


def test_a_run_that_shows_its_progress_has_the_same_history():
    stream = io.StringIO()
    with Progress(ROUNDS, stream=stream, terminal=False, every=None) as shown:
        history = simulate(
            ALGORITHM, TASK, CLIENTS, rounds=ROUNDS, key=KEY, eval_every=2, progress=shown
        )
    places = [0, 2, 4, 5]
    assert history.round.tolist() == places
    plain = jax.tree.map(lambda leaf: np.asarray(leaf)[places], simulated()[1::2])
    tiny.close(jax.tree.map(np.asarray, history[1::2]), plain, 1e-6)
    tiny.close(history.state, simulated().state, 1e-6)
    first, *_, last = stream.getvalue().splitlines()
    assert first.startswith(f"round 0/{ROUNDS}  C-SPE ")
    assert last.startswith(f"round {ROUNDS}/{ROUNDS}  ")
    assert f"Global {float(history.measures.global_score[-1]):.4f}" in last


def test_progress_under_jit_is_refused():
    def final(key):
        return simulate(counting(), TASK, CLIENTS, rounds=1, key=key, progress=True).state

    with pytest.raises(ValueError, match=r"under jit or vmap; possible is progress=False\."):
        jax.jit(final)(KEY)


def test_a_watched_run_shows_itself_on_the_standard_error_stream(capsys):
    options = {"rounds": 3, "key": KEY, "take_measures": lambda models, clients: models["round"]}
    assert len(list(watch(counting(), TASK, CLIENTS, **options, progress=True))) == 4
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["round 0/3", "round 3/3"]


# ---- from a state -------------------------------------------------------------------------------


def test_a_run_goes_on_from_a_state_as_if_it_had_not_ended():
    first = simulate(ALGORITHM, TASK, CLIENTS, rounds=3, key=KEY)
    kept = jax.tree.map(np.array, first.state)
    options = {"rounds": 2, "key": KEY, "state": first.state, "done": 3}
    rest = simulate(ALGORITHM, TASK, CLIENTS, **options)
    assert rest.round.tolist() == [3, 4, 5]
    tiny.same_bits(rest.state, simulated().state)
    tiny.same_bits(first.state, kept)  # what was given is still there
    whole = jax.jit(lambda state: simulate(ALGORITHM, TASK, CLIENTS, **options | {"state": state}))
    tiny.close(whole(first.state).state, simulated().state, 1e-6)
    for one, other in ((rest, simulated()), (whole(kept), simulated())):
        got, wanted = (jax.tree.map(lambda leaf: leaf[-2:], h.measures) for h in (one, other))
        tiny.close(got, wanted, 1e-6)


def test_measured_rounds_are_counted_on():
    assert measured_rounds(5, 4, 10) == [10, 12, 15]
    assert measured_rounds(5, 5, 10) == [10, 15]
    assert measured_rounds(5, [11], 10) == [10, 11, 15]
    with pytest.raises(ValueError, match="after 10 to 15 of them, but 9 was given"):
        measured_rounds(5, [9], 10)


# ---- missing values -----------------------------------------------------------------------------


@pytest.mark.parametrize("switch", [jax.debug_nans, jax.debug_infs])
def test_values_that_are_missing_are_no_divergence(switch):
    """Outside the cohort there is no loss, nor C-SPE without test data, which JAX may look for."""
    some = fedavg(LOCAL, cohort=3)
    options = {"rounds": 1, "key": KEY}
    plain = simulate(some, TASK, CLIENTS, **options)
    assert np.isnan(plain.info.loss).any()
    with switch(True):
        found = [
            simulate(some, TASK, CLIENTS, **options),
            simulate(some, TASK, CLIENTS, **options, progress=Progress(1, stream=io.StringIO())),
        ]
    for history in found:
        np.testing.assert_allclose(history.info.loss, plain.info.loss, rtol=1e-6)
        np.testing.assert_allclose(history.measures.c_gen, plain.measures.c_gen, atol=1e-6)
