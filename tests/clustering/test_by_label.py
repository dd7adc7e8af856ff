"""Distances label by label against loops in float64, and ways through others against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet
from scipy.cluster.hierarchy import linkage as scipys
from scipy.spatial.distance import squareform

from demjax.clients.label_gradients import LabelGradients
from demjax.clustering import by_label, gap
from demjax.clustering.by_label import through_others
from demjax.clustering.clusterings import Wanted
from demjax.clustering.linkage import linkage
from demjax.registry import LINKAGES


def drawn(seed, clients=9, labels=4, width=6, share=0.6):
    """Gradients of examples, of which clients have some labels; what is seen of them, and they."""
    rng = np.random.default_rng(seed)
    examples = {
        (n, c): rng.normal(size=(rng.integers(1, 6), width)) + 3 * rng.normal(size=width)
        for n in range(clients)
        for c in range(labels)
        if rng.uniform() < share
    }
    mean, counts = np.zeros((clients, labels, width)), np.zeros((clients, labels))
    square = np.zeros((clients, labels))
    for (n, c), own in examples.items():
        mean[n, c], counts[n, c], square[n, c] = own.mean(0), len(own), np.sum(own**2)
    seen = LabelGradients(*(jnp.asarray(a, jnp.float32) for a in (mean, counts, square)))
    return seen, examples


def moderated(examples, clients, labels):
    """The variances of clients' examples of labels, as they are defined."""
    spread = {at: np.sum((own - own.mean(0)) ** 2) for at, own in examples.items()}
    free = {at: len(own) - 1 for at, own in examples.items()}
    of_label = [[at for at in examples if at[1] == c] for c in range(labels)]
    of_client = [[at for at in examples if at[0] == n] for n in range(clients)]
    size = [
        sum(np.sum(examples[at] ** 2) for at in those)
        / max(sum(len(examples[at]) for at in those), 1)
        for those in of_label
    ]
    for c, those in enumerate(of_label):
        if sum(spread[at] for at in those) <= 1e-6 * size[c] * sum(free[at] for at in those):
            spread |= dict.fromkeys(those, 0.0)
            free |= dict.fromkeys(those, 0)
    known = [sum(free[at] for at in those) for those in of_client]
    noisier, pooled = [1.0] * clients, size
    for _ in range(3):
        pooled = [
            sum(spread[at] / noisier[at[0]] for at in those) / sum(free[at] for at in those)
            if any(free[at] for at in those)
            else size[c]
            for c, those in enumerate(of_label)
        ]
        noisier = [
            (sum(spread[at] / pooled[at[1]] for at in those) / f) ** (f / (f + 2)) if f else 1.0
            for f, those in zip(known, of_client, strict=True)
        ]
    return {
        (n, c): (spread[n, c] + 20 * noisier[n] * pooled[c]) / (free[n, c] + 20)
        for n, c in examples
    }


def by_hand(examples, clients, labels):
    """The ratios as they are defined; infinite where no label is shared."""
    variance = moderated(examples, clients, labels)
    found = np.full((clients, clients), np.inf)
    for n in range(clients):
        for m in range(clients):
            shared = [c for c in range(labels) if (n, c) in examples and (m, c) in examples]
            terms = []
            for c in shared:
                a, b = examples[n, c], examples[m, c]
                h = len(a) * len(b) / (len(a) + len(b))
                apart = np.sum((a.mean(0) - b.mean(0)) ** 2)
                noise = variance[n, c] / len(a) + variance[m, c] / len(b)
                terms.append((h, h * apart / noise))
            if terms:
                found[n, m] = sum(term for _, term in terms) / sum(h for h, _ in terms)
    np.fill_diagonal(found, 0.0)
    return found


def minimax(known):
    """Unknown distances by the heights of single linkage of the known ones."""
    far = np.where(np.isfinite(known), known, 1e6)
    joined = squareform(cophenet(scipys(squareform(far, checks=False), "single")))
    most = known[np.isfinite(known)].max()
    return np.where(np.isfinite(known), known, np.minimum(joined, most))


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_distances_are_ratios_of_variances_of_shared_labels(share):
    for seed in range(5):
        seen, examples = drawn(seed, share=share)
        wanted = minimax(by_hand(examples, 9, 4))
        np.testing.assert_allclose(by_label(seen), wanted, rtol=2e-4, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_unknown_distances_are_the_heights_at_which_single_linkage_joins(seed, share):
    rng = np.random.default_rng(seed)
    distances = squareform(rng.uniform(1, 9, 28))
    known = squareform((rng.uniform(size=28) < share).astype(float)).astype(bool)
    known |= np.eye(8, dtype=bool)
    if not np.any(known & ~np.eye(8, dtype=bool)):
        return
    given_ = jnp.asarray(np.where(known, distances, 1e30), jnp.float32)
    found = through_others(given_, jnp.asarray(known))
    np.testing.assert_allclose(found, minimax(np.where(known, distances, np.inf)), rtol=1e-6)


def test_clients_of_one_source_are_one_apart_on_average_whatever_labels_they_have():
    rng, found, distances = np.random.default_rng(0), [], jax.jit(by_label)
    for _ in range(400):
        counts = rng.integers(2, 30, size=(12, 3)) * (rng.uniform(size=(12, 3)) < 0.7)
        scale = np.array([1.0, 5.0, 0.1])
        spread = scale[:, None] * rng.uniform(0.2, 2.0, size=(3, 20))
        means = rng.normal(size=(3, 20)) * 10
        noise = rng.normal(size=(12, 3, 20)) * spread / np.sqrt(np.maximum(counts, 1))[..., None]
        mean = np.where(counts[..., None] > 0, means + noise, 0.0)
        drawn = rng.chisquare(np.maximum(counts - 1, 1)[..., None], size=(12, 3, 20))
        within = np.sum(spread**2 * drawn, axis=2) * (counts > 1)
        square = within + counts * np.sum(mean**2, axis=2)
        seen = [jnp.asarray(a, jnp.float32) for a in (mean, counts, square)]
        apart = np.asarray(distances(LabelGradients(*seen)))
        shared = (counts > 0).astype(int) @ (counts > 0).T > 0
        found.append(apart[shared & ~np.eye(12, dtype=bool)].mean())
    assert abs(np.mean(found) - 1) < 0.02


def of_kinds(rng, noise, centres, each=20, clients=15, labels=3, width=20):
    """So many clients of each kind, with examples of its noise about its centres."""
    kinds = [
        centre + sigma * rng.normal(size=(clients, labels, each, width))
        for sigma, centre in zip(noise, centres, strict=True)
    ]
    return seen_of(np.concatenate(kinds))


def seen_of(examples):
    """What is seen of examples ``[clients, labels, each, width]``."""
    counts = np.full(examples.shape[:2], float(examples.shape[2]))
    seen = examples.mean(2), counts, np.sum(examples**2, axis=(2, 3))
    return LabelGradients(*(jnp.asarray(a, jnp.float32) for a in seen))


def in_very_many_dimensions(noise, each, labels=3):
    """The ratios within kinds of such noise where chance averages out: those of moderating alone.

    A client's sum of squares is then what is expected of it, and so is its distance from another.
    """
    true, free, pooled = np.square(noise), each - 1, np.mean(np.square(noise))
    trusted = labels * free / (labels * free + 2)
    noisier = np.ones(len(noise))
    for _ in range(3):
        pooled = np.mean(true / noisier)
        noisier = (true / pooled) ** trusted
    return true * (free + 20) / (true * free + 20 * noisier * pooled)


@pytest.mark.parametrize(
    ("noise", "each"), [((2.0, 1.0, 0.5), 20), ((3.0, 1.0, 0.03), 20), ((2.0, 1.0, 0.5), 4)]
)
def test_clients_of_one_source_are_as_far_apart_as_moderating_makes_them(noise, each):
    rng, found, wanted = np.random.default_rng(0), [], in_very_many_dimensions(noise, each)
    for _ in range(20):
        apart = by_label(of_kinds(rng, noise, 5 * rng.normal(size=(3, 1, 1, 1, 20)), each))
        within = [np.asarray(apart)[15 * kind :][:15, 15 * kind :][:, :15] for kind in range(3)]
        found.append([own[~np.eye(15, dtype=bool)].mean() for own in within])
    # Chance in 20 dimensions: a variance of 2 / (20 f) or less of the variances that divide.
    np.testing.assert_allclose(np.mean(found, axis=0), wanted, rtol=0.03)


@pytest.mark.parametrize("like", [0.0, 1.0])
def test_a_client_whose_gradients_are_all_the_same_is_no_reason_for_nan(like):
    rng = np.random.default_rng(7)
    examples = rng.normal(size=(12, 3, 5, 8))
    examples[3] = like * examples[3, :, :1]
    found = np.asarray(by_label(seen_of(examples)))
    assert np.isfinite(found).all()
    others = np.delete(np.delete(found, 3, axis=0), 3, axis=1)
    assert 0.7 < others[~np.eye(11, dtype=bool)].mean() < 1.3


def test_what_rounding_leaves_between_very_quiet_clients_is_no_difference():
    # Two kinds have learned their examples nearly by heart; a third is noisy.
    rng = np.random.default_rng(8)
    quiet = 2 * rng.normal(size=(3, 1, 20))
    found = np.asarray(by_label(of_kinds(rng, (1.0, 1e-5, 1e-5), (0.0, quiet, -quiet))))
    for kind in (slice(0, 15), slice(15, 30), slice(30, 45)):
        assert found[kind, kind].max() < 10
    assert found[15:30, 30:].min() > 1e5


def test_quiet_clients_far_from_noisy_ones_are_as_far_apart_as_in_double_precision():
    # A model has learned two kinds of three, whose gradients are a hundredth as long.
    rng, examples = np.random.default_rng(2), np.zeros((30, 1, 2000, 20))
    examples[:10] = 2 + rng.normal(size=(10, 1, 2000, 20))
    examples[10:] = 0.01 * rng.normal(size=(20, 1, 2000, 20))
    found = np.asarray(by_label(seen_of(examples)))[10:, 10:]
    mine = {(n, 0): examples[n, 0] for n in range(30)}
    np.testing.assert_allclose(found, by_hand(mine, 30, 1)[10:, 10:], rtol=0.02, atol=1e-3)


def test_a_label_of_which_everybody_has_one_example_counts_as_little_as_it_tells():
    # What rounding leaves of one example is no variance, however many clients there are.
    rng = np.random.default_rng(3)
    one = rng.normal(size=(60, 30)) + 1
    many = rng.normal(size=(60, 20, 30)) + 3
    mean = np.stack([one, many.mean(1)], axis=1)
    counts = np.tile([1.0, 20.0], (60, 1))
    square = np.stack([np.sum(one**2, axis=1), np.sum(many**2, axis=(1, 2))], axis=1)
    seen = LabelGradients(*(jnp.asarray(a, jnp.float32) for a in (mean, counts, square)))
    apart = np.asarray(by_label(seen))[~np.eye(60, dtype=bool)]
    assert 0.8 < apart.mean() < 1.2


@pytest.mark.parametrize("scale", [1e-20, 1e-18, 1e-12, 1e9])
def test_a_label_with_gradients_of_any_length_does_not_spoil_the_others(scale):
    rng = np.random.default_rng(4)
    examples = rng.normal(size=(12, 3, 5, 8)) * np.array([1.0, scale, 1.0])[:, None, None]
    found = np.asarray(by_label(seen_of(examples)))[~np.eye(12, dtype=bool)]
    assert np.isfinite(found).all()
    assert 0.5 < found.mean() < 1.5


def test_a_label_without_gradients_beside_clients_that_are_far_quieter_is_finite():
    rng = np.random.default_rng(6)
    examples = rng.normal(size=(12, 2, 200, 8))
    examples[:6] *= 1e-4
    examples[:, 1] = 0
    assert np.isfinite(np.asarray(by_label(seen_of(examples)))).all()


def test_a_client_whose_gradients_are_not_finite_is_as_far_as_any_and_the_others_as_they_were():
    seen, examples = drawn(5, share=1.0)
    spoilt = seen._replace(mean=seen.mean.at[2].set(jnp.nan), square=seen.square.at[2].set(jnp.inf))
    found = np.asarray(by_label(spoilt))
    others = [n for n in range(9) if n != 2]
    alone = {at: own for at, own in examples.items() if at[0] != 2}
    rest = by_hand(alone, 9, 4)[np.ix_(others, others)]
    np.testing.assert_allclose(found[np.ix_(others, others)], rest, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(found[2, others], found[np.ix_(others, others)].max(), rtol=1e-5)


def test_kinds_are_told_apart_beside_one_that_is_far_noisier():
    # With one variance for all, heights within the noisy kind hide what the two others differ by.
    rng, average = np.random.default_rng(1), LINKAGES["average"].make()
    quiet = 0.35 * rng.normal(size=(3, 1, 20))
    distances = by_label(of_kinds(rng, (2.0, 0.5, 0.5), (3.0, quiet, -quiet)))
    merges = linkage(distances, average)
    found = gap().take(merges, distances, Wanted(by_label, average, "xla", True))
    np.testing.assert_array_equal(found.groups[0], np.repeat([0, 1, 2], 15))


def test_clients_without_examples_and_labels_of_one_example_are_finite():
    seen, _ = drawn(3)
    counts, square = seen.counts.at[0].set(0).at[:, 1].min(1), seen.square.at[0].set(0)
    square = square.at[:, 1].set(jnp.sum(seen.mean[:, 1] ** 2, axis=1) * (counts[:, 1] > 0))
    found = by_label(LabelGradients(seen.mean.at[0].set(0), counts, square))
    assert np.isfinite(found).all()
    others = np.asarray(found)[1:, 1:]
    assert np.all(np.asarray(found)[0, 1:] >= others.max(axis=1) - 1e-3), "as far as any are"


def test_other_features_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="possible is features label_gradients"):
        by_label({"w": jnp.zeros((3, 4))})


def test_it_is_traced_with_examples_of_any_number():
    seen, _ = drawn(1)
    np.testing.assert_allclose(jax.jit(by_label)(seen), by_label(seen), rtol=1e-5)
