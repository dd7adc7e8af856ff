"""Ways to a dendrogram: which is taken when, what each keeps, and what each refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_tree
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

from demjax.base import KnownDistances
from demjax.clustering import clusterings, self_organization
from demjax.clustering.distances import euclidean


def groups_of_clients(count=300, width=6_000, groups=8, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(groups, size=count)
    centres = 0.3 * rng.normal(size=(groups, width))
    return (centres[truth] + 0.1 * rng.normal(size=(count, width))).astype(np.float32), truth


def organized(points, last=None, *, before=None, **options):
    made = self_organization(**options)
    before = made.begin(len(points)) if before is None else before
    return jax.jit(made.organize)({"w": jnp.asarray(points)}, *before, last)


@pytest.mark.parametrize("clustering", ["exact", "sketch", "two-stage", "auto"])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
def test_every_way_finds_groups_that_stand_apart(clustering, metric):
    points, truth = groups_of_clients()
    options = {"centroids": 60} if clustering == "two-stage" else {}
    tree, found = organized(points, clustering=clustering, metric=metric, groups=(8,), **options)
    assert adjusted_rand_score(truth, np.asarray(tree.groups[0])) == 1
    assert scipy_tree.is_valid_linkage(np.asarray(found.merges, np.float64))
    assert 0.9 < float(found.cophenetic) <= 1
    assert found.known == ()


def test_auto_takes_what_its_sizes_say(monkeypatch):
    points, _ = groups_of_clients(count=200)
    monkeypatch.setattr(clusterings, "SKETCHED_FROM", 100)
    cases = [
        (points, {}, {"clustering": "sketch"}),
        (points[:99], {}, {"clustering": "exact"}),
        (points[:, :4_000], {}, {"clustering": "exact"}),
        (points, {"metric": "correlation"}, {"clustering": "exact"}),
        (points, {"metric": lambda seen: euclidean(seen)}, {"clustering": "exact"}),
    ]
    for some, options, way in cases:
        one = organized(some, **options)[1].merges
        other = organized(some, **options, **way)[1].merges
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(clusterings, "TWO_STAGE_FROM", 200)
    for options, way in [
        ({}, {"clustering": "two-stage"}),
        ({"min_size": 3}, {"clustering": "sketch"}),
        ({"linkage_backend": "scipy"}, {"clustering": "sketch"}),
    ]:
        one = organized(points, **options)[1].merges
        other = organized(points, **options, **way)[1].merges
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("clustering", ["exact", "sketch", "two-stage"])
def test_whoever_has_not_trained_is_a_copy_of_one_who_has(clustering):
    points, truth = groups_of_clients()
    last = np.where(np.arange(300) % 3 == 0, -1, 0)
    points[last < 0] = 0
    options = {"clustering": clustering, "groups": (8,)}
    tree, _ = organized(points, jnp.asarray(last), **options)
    groups = np.asarray(tree.groups[0])
    assert (groups[last < 0] == -1).all()
    assert adjusted_rand_score(truth[last == 0], groups[last == 0]) == 1


@pytest.mark.parametrize("clustering", ["exact", "sketch"])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_distances_that_are_kept_give_the_tree_of_all_made_anew(clustering, metric):
    """Round after round, with a cohort of five and its changes after clustering, as in DemLearn."""
    rng = np.random.default_rng(0)
    points, _ = groups_of_clients(count=60, width=300)
    options = {"clustering": clustering, "metric": metric}
    if clustering == "sketch":
        options["buckets"] = 101
    options["changing"] = 10
    kept, last = self_organization(**options).begin(60), np.full(60, -1)
    assert isinstance(kept[1].known, KnownDistances)
    for number in range(12):
        cohort = rng.permutation(60)[:5]
        points[cohort] = groups_of_clients(count=60, width=300, seed=number)[0][cohort]
        last[cohort] = number
        kept = organized(points, jnp.asarray(last), before=kept, **options)
        anew = organized(points, jnp.asarray(last), **options | {"changing": None})
        trained = last >= 0
        np.testing.assert_array_equal(kept[0].groups[:, trained], anew[0].groups[:, trained])
        np.testing.assert_allclose(kept[1].merges[:, 2], anew[1].merges[:, 2], rtol=1e-4, atol=1e-4)
        assert int(kept[1].known.since) == number
        points[cohort] *= np.float32(0.9)  # as mixing changes them


def test_distances_are_kept_only_where_few_change_and_rows_are_made_alike():
    def known(**options):
        return self_organization(**options).begin(60)[1].known

    assert known() == known(changing=30) == known(changing=5, metric="cosine") == ()
    assert known(changing=5, clustering="two-stage") == ()
    assert known(changing=5).distances.shape == (60, 60)


@pytest.mark.parametrize("change", ["metric", "features", "more clients"])
def test_distances_that_no_longer_hold_are_all_made_anew(change):
    """A run may go on by another metric or features, or with larger cohorts before."""
    points, _ = groups_of_clients(count=60, width=300)
    last = np.zeros(60, int)
    options = {"changing": 10}
    kept = self_organization(**options).begin(60)
    kept = organized(points, jnp.asarray(last), before=kept, **options)
    last[: 20 if change == "more clients" else 5] = 1
    if change == "metric":
        options["metric"] = "sqeuclidean"
    if change == "features":
        points = points[:, :150]
    if change == "more clients":
        points[:20] *= 2
    found = organized(points, jnp.asarray(last), before=kept, **options)
    anew = organized(points, jnp.asarray(last), **options | {"changing": None})
    np.testing.assert_allclose(found[1].merges, anew[1].merges, rtol=1e-5)


def test_kept_distances_are_the_same_type_in_double_precision():
    points, _ = groups_of_clients(count=24, width=30)
    with jax.enable_x64(True):
        kept = self_organization(changing=4).begin(24)
        made = self_organization(changing=4).organize
        found = jax.eval_shape(made, [points], *kept, jnp.zeros(24, jnp.int32))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), found[1].known) == jax.tree.map(
        lambda x: (x.shape, x.dtype), kept[1].known
    )


@pytest.mark.parametrize("clustering", ["sketch", "two-stage"])
@pytest.mark.parametrize("metric", ["correlation", lambda seen: euclidean(seen)])
def test_a_metric_that_a_sketch_does_not_keep_is_refused(clustering, metric):
    points, _ = groups_of_clients(count=20, width=30)
    with pytest.raises(ValueError, match="keeps the metrics euclidean, sqeuclidean and cosine"):
        organized(points, clustering=clustering, metric=metric)


@pytest.mark.parametrize(
    ("options", "needs"),
    [({"min_size": 2}, "min_size above 1"), ({"linkage_backend": "scipy"}, "linkage_backend")],
)
def test_two_stages_refuse_what_needs_distances_of_all(options, needs):
    points, _ = groups_of_clients(count=20, width=30)
    with pytest.raises(ValueError, match=needs):
        organized(points, clustering="two-stage", **options)


def test_the_sketchs_tree_is_that_of_its_distances():
    points, _ = groups_of_clients(count=80, width=500)
    _, found = organized(points, clustering="sketch", buckets=101)
    sketch = np.asarray(jax.jit(lambda p: clusterings.count_sketch([p], 101))(points))
    wanted = scipy_tree.linkage(pdist(sketch.astype(np.float64)), "average")
    np.testing.assert_allclose(found.merges[:, 2], wanted[:, 2], rtol=1e-4)
