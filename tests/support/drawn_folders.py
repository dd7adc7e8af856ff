"""Made-up runs, as histories and as the folders that ``demjax run`` would write of them."""

import jax
import numpy as np
from experiments import experiment
from scipy.cluster.hierarchy import cut_tree, linkage

from demjax.base import Hierarchy, Organization
from demjax.experiment.config import to_toml
from demjax.metrics import Means, Measures
from demjax.metrics.tree import Structure
from demjax.runs import folder as run_folder
from demjax.runs.rows import clients_rows, dendrogram_rows, metrics_row
from demjax.simulation.history import History

ROUNDS = (0, 1, 2, 4, 6)
REGROUPED = {1: 1, 2: 1, 4: 2, 6: 3}
"""How often clients have organised themselves, by round: in round 2 they did not."""


def made_history(*, clients=12, cut=(5, 3), seed=0, extra=()):
    """A history of random numbers, with true dendrograms of random points and their cuts.

    Of a run without levels if ``cut`` is empty. Client 0 has no test data, client 1 is in no
    group of the lowest level.
    """
    draw = np.random.default_rng(seed)
    moments, levels, slots = len(ROUNDS), len(cut), max(cut, default=1)

    def some(*shape):
        return np.round(draw.random(shape), 4).astype(np.float32)

    groups = np.full((moments, levels + 1, clients), -1)
    groups[:, -1] = 0
    merges = np.zeros((moments, clients - 1, 4), np.float32)
    for place, number in enumerate(ROUNDS):
        if number in REGROUPED:
            points = np.random.default_rng([seed, REGROUPED[number]]).normal(size=(clients, 3))
            merges[place] = linkage(points, "average")
            for level, count in enumerate(cut):
                groups[place, level] = cut_tree(merges[place].astype(float), count)[:, 0]
    groups[:, :-1][:, :1, 1] = -1
    size = np.stack([[np.bincount(r[r >= 0], minlength=slots) for r in tree] for tree in groups])
    spe = some(moments, clients)
    spe[:, 0] = np.nan
    whole = size[:, :-1]
    measures = Measures(
        client_spe=spe,
        client_gen=some(moments, clients),
        group_spe=some(moments, levels + 1, slots),
        group_gen=some(moments, levels + 1, slots),
        c_spe=some(moments),
        c_gen=some(moments),
        g_spe=some(moments, levels + 1),
        g_gen=some(moments, levels + 1),
        global_score=some(moments),
        diverged=np.zeros(moments, int),
        hierarchy=Hierarchy(groups, size),
        structure=Structure(
            groups=(whole > 0).sum(axis=2),
            largest=whole.max(axis=2, initial=0),
            smallest=np.where(whole > 0, whole, 99).min(axis=2, initial=99) % 99,
            singletons=some(moments, levels),
            rand_true=some(moments, levels),
            rand_before=some(moments, levels),
            moved=np.zeros((moments, levels), int),
        ),
        organization=Organization(
            before=groups,
            merges=merges,
            cophenetic=some(moments),
            times=np.array([REGROUPED.get(number, 0) for number in ROUNDS]),
        ),
    )
    fields = [3 * getattr(measures, name) for name in Means._fields[:-1]]
    measures = measures._replace(extra={name: Means(*fields) for name in extra})
    if not cut:
        measures = measures._replace(organization=None)
    return History(np.array(ROUNDS), measures, None)


def write_run(folder, history, *, summary=True, **options):
    """Write a history as a run's folder, by the functions that a run itself uses."""
    clients = history.measures.client_spe.shape[1]
    options = {"model": "linear", "rounds": ROUNDS[-1], "clients": clients} | options
    run_folder.create(folder, to_toml(experiment(**options)))
    known, rows = 0, []
    for place, number in enumerate(history.round):
        now = jax.tree.map(lambda leaf: leaf[place], history.measures)  # noqa: B023
        if now.organization is not None:
            merges = dendrogram_rows(int(number), now.organization, known)
            if merges:
                run_folder.append(folder / run_folder.DENDROGRAMS, merges)
            known = int(now.organization.times)
        run_folder.append(folder / run_folder.CLIENTS, clients_rows(int(number), now))
        rows.append(metrics_row(int(number), now, float(place)))
        run_folder.append(folder / run_folder.METRICS, rows[-1:])
    if summary:
        times = {"round_seconds": 0.5, "measure_seconds": 0.25, "parameters": 650}
        run_folder.write_summary(folder, {"final": rows[-1], **times})
    return folder


def made_run(folder, *, seed=0, cut=(5, 3), clients=12, **options):
    """A made-up run's folder: DemLearn's, or that of an algorithm without levels."""
    organizes = options.get("algorithm", "demlearn") == "demlearn"
    if organizes:
        options = {"groups": cut} | options
    extra = options.get("extra", ())
    history = made_history(clients=clients, cut=cut if organizes else (), seed=seed, extra=extra)
    return write_run(folder, history, seed=seed, **options)
