"""From features to a tree: the parts are used as asked, and wrong ones told at once."""

import jax
import numpy as np
import pytest
import scipy.cluster.hierarchy
from scipy.spatial.distance import pdist, squareform

from demjax.clustering import (
    counts,
    cut_depth,
    heights,
    self_organization,
    sqeuclidean,
    unorganized,
    updates,
)

POINTS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


def organized(**options):
    organizing = self_organization(**options)
    before = unorganized(len(POINTS), organizing.levels, organizing.slots)
    seen = {"w": POINTS}
    hierarchy, organization = jax.jit(organizing.organize)(seen, *before)
    np.testing.assert_array_equal(organization.before, before[0].groups)
    assert int(organization.times) == 1
    return organizing, (hierarchy, organization.merges, organization.cophenetic)


def test_by_default_it_is_as_published():
    organizing, (hierarchy, merges, cophenetic) = organized()
    pairs = pdist(POINTS.astype(np.float64))
    wanted = scipy.cluster.hierarchy.linkage(pairs, "average")
    np.testing.assert_array_equal(merges[:, [0, 1, 3]], wanted[:, [0, 1, 3]])
    np.testing.assert_allclose(merges[:, 2], wanted[:, 2], rtol=1e-5)
    cut = jax.jit(lambda merges: cut_depth(merges, 3))(wanted)
    np.testing.assert_array_equal(hierarchy.groups, cut.groups)
    correlation, _ = scipy.cluster.hierarchy.cophenet(wanted, pairs)
    assert float(cophenetic) == pytest.approx(correlation, abs=1e-5)
    assert (organizing.levels, organizing.slots) == (3, 8)
    assert not organizing.features.gradients


def test_metric_method_and_cut_are_those_asked_for():
    cut = counts((5, 2))
    organizing, (hierarchy, merges, _) = organized(cut=cut, metric=sqeuclidean, linkage="complete")
    wanted = scipy.cluster.hierarchy.linkage(pdist(POINTS, "sqeuclidean"), "complete")
    np.testing.assert_allclose(merges[:, 2], wanted[:, 2], rtol=1e-5)
    for row, count in zip(hierarchy.groups, (5, 2), strict=False):
        labels = scipy.cluster.hierarchy.fcluster(wanted, count, "maxclust")
        np.testing.assert_array_equal(row[:, None] == row, labels[:, None] == labels)
    assert (organizing.levels, organizing.slots) == (2, 5)


@pytest.mark.parametrize("options", [{"min_size": 3}, {"cut": counts((6, 2), min_size=3)}])
def test_no_group_is_smaller_than_asked(options):
    _, (hierarchy, _, _) = organized(**options)
    size = np.asarray(hierarchy.size)
    assert size[size > 0].min() >= 3


def test_both_backends_make_the_same_tree():
    (_, (xla, *_)), (_, (scipys, *_)) = (
        organized(linkage_backend=name) for name in ("xla", "scipy")
    )
    np.testing.assert_array_equal(xla.groups, scipys.groups)


def test_what_did_not_happen_anywhere_makes_one_group_and_no_correlation():
    organizing = self_organization(cut=heights((0.5,)))
    same = squareform(np.zeros(66)).astype(np.float32)
    before = unorganized(len(same), organizing.levels, organizing.slots)
    hierarchy, organization = jax.jit(organizing.organize)({"w": same}, *before)
    merges, cophenetic = organization.merges, organization.cophenetic
    assert not np.asarray(merges[:, 2]).any()
    assert np.asarray(hierarchy.groups[0]).tolist() == [0] * 12
    assert np.isnan(cophenetic)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"levels": -1}, r"levels as 0 to 20, but -1"),
        ({"min_size": 0}, r"min_size as 1 or more, but 0"),
        ({"linkage": "centroid"}, r"The linkage 'centroid' is unknown; .*average"),
        ({"linkage_backend": "abacus"}, r"'abacus' is unknown; possible are xla, scipy"),
    ],
    ids=str,
)
def test_what_is_impossible_is_told_before_anything_is_seen(wrong, words):
    with pytest.raises(ValueError, match=words):
        self_organization(**wrong)


def test_features_are_kept_as_given():
    looking = updates()
    assert self_organization(features=looking).features is looking


def test_a_cut_is_not_given_beside_what_it_says_itself():
    for more in ({"levels": 2}, {"min_size": 2}):
        with pytest.raises(TypeError, match=r"^self_organization takes no '(levels|min_size)'"):
            self_organization(cut=heights((0.5,)), **more)


def test_a_metric_is_a_function():
    with pytest.raises(ValueError, match=r"metric as one of .* or a function, but 3 was given"):
        self_organization(metric=3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"features": "label_gradients", "metric": "cosine"}, "possible is no metric, or by_label"),
        ({"features": "weights", "metric": "by_label"}, "possible is features label_gradients"),
    ],
)
def test_label_gradients_and_their_metric_go_together(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        self_organization(**options)
    for metric in ({}, {"metric": "by_label"}):
        made = self_organization(features="label_gradients", cut="gap", **metric)
        assert (made.levels, made.slots) == (1, 16)
