"""A server and its clients as loops in float64, around whatever a server makes of the mean."""

import jax
import numpy as np
import tiny

from demjax.clients import participation


def members(key, clients, cohort):
    """Who trains in a round."""
    drawn = participation.draw(key, clients.n_clients, cohort)
    return list(range(clients.n_clients)) if drawn is None else np.asarray(drawn).tolist()


def mean_by_examples(clients, who, models):
    """The mean of some clients' models, in the order of ``who``, by their training examples."""
    sizes = np.asarray(clients.train_size, np.float64)[who]
    return tiny.combine(*zip(sizes / sizes.sum(), models, strict=True))


def rounds(algorithm, key, clients, count):
    """Each round's key, the models after it, and its info."""
    one_round, state = jax.jit(algorithm.round), algorithm.init(key, clients)
    for number in range(count):
        own = jax.random.fold_in(key, number)
        state, info = one_round(own, state, clients)
        yield own, algorithm.models(state), info


def global_model(models):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], tiny.plain(models.group))


def hold(algorithm, key, clients, start, server, *, cohort=None, count=4):
    """Hold rounds of an algorithm, which scores the global model, against a loop.

    ``server(model, mean) -> model`` is one of a server's steps; it may remember things.
    """
    model = tiny.float64(start)
    for own, models, info in rounds(algorithm, key, clients, count):
        who = members(own, clients, cohort)
        learned = [tiny.learn(own, model, clients, n) for n in who]
        trained, losses = zip(*learned, strict=True)
        model = server(model, mean_by_examples(clients, who, trained))
        wanted = np.full(clients.n_clients, np.nan)
        wanted[who] = losses
        np.testing.assert_allclose(info.loss, wanted, rtol=5e-5, atol=5e-5)
        tiny.close(global_model(models), model, 5e-5)
        tiny.close(tiny.unstack(models.client), [model] * clients.n_clients, 5e-5)


def same(one, other, key, clients, *, count=3, tolerance=1e-5):
    """Hold two algorithms against each other, round by round."""
    pairs = zip(rounds(one, key, clients, count), rounds(other, key, clients, count), strict=True)
    for (_, models, info), (_, wanted, wanted_info) in pairs:
        tiny.close(models.client, wanted.client, tolerance)
        tiny.close(global_model(models), global_model(wanted), tolerance)
        np.testing.assert_allclose(info.loss, wanted_info.loss, rtol=tolerance, atol=tolerance)
