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


def by_hand(examples, clients, labels):
    """The ratios as they are defined; infinite where no label is shared."""
    spread = {at: np.sum((own - own.mean(0)) ** 2) for at, own in examples.items()}
    free = {at: len(own) - 1 for at, own in examples.items()}
    pooled, measured = {}, []
    for c in range(labels):
        those = [at for at in examples if at[1] == c]
        pooled[c] = sum(spread[at] for at in those) / max(sum(free[at] for at in those), 1)
        every = np.concatenate([np.zeros((1, 1)), *(examples[at].reshape(-1, 1) for at in those)])
        size = np.sum(every**2) / max(sum(len(examples[at]) for at in those), 1)
        if pooled[c] > 1e-6 * size:
            measured += those
        else:
            pooled[c] = size
    variance = {}
    for n, c in examples:
        mine = [at for at in measured if at[0] == n]
        over = sum(spread[at] / pooled[at[1]] for at in mine)
        noisier = (over + 2) / (sum(free[at] for at in mine) + 2)
        own, known = (spread[n, c], free[n, c]) if (n, c) in measured else (0, 0)
        variance[n, c] = (own + 20 * noisier * pooled[c]) / (known + 20)
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
        within = np.sum(spread**2, axis=1) * np.maximum(counts - 1, 0)
        square = within + counts * np.sum(mean**2, axis=2)
        seen = [jnp.asarray(a, jnp.float32) for a in (mean, counts, square)]
        apart = np.asarray(distances(LabelGradients(*seen)))
        shared = (counts > 0).astype(int) @ (counts > 0).T > 0
        found.append(apart[shared & ~np.eye(12, dtype=bool)].mean())
    assert abs(np.mean(found) - 1) < 0.02


def of_kinds(rng, noise, centres, clients=15, labels=3, width=20):
    """So many clients of each kind, of 20 examples a label, with its noise about its centres."""
    each = [
        centre + sigma * rng.normal(size=(clients, labels, 20, width))
        for sigma, centre in zip(noise, centres, strict=True)
    ]
    examples = np.concatenate(each)
    seen = examples.mean(2), np.full(examples.shape[:2], 20.0), np.sum(examples**2, axis=(2, 3))
    return LabelGradients(*(jnp.asarray(a, jnp.float32) for a in seen))


def test_clients_of_one_source_are_one_apart_on_average_however_noisy_others_are():
    rng, noise, found = np.random.default_rng(0), (2.0, 1.0, 0.5), []
    for _ in range(40):
        apart = by_label(of_kinds(rng, noise, 5 * rng.normal(size=(3, 1, 1, 1, 20))))
        within = [np.asarray(apart)[15 * kind :][:15, 15 * kind :][:, :15] for kind in range(3)]
        found.append([own[~np.eye(15, dtype=bool)].mean() for own in within])
    np.testing.assert_allclose(np.mean(found, axis=0), 1, atol=0.1)


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
