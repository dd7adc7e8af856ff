"""Named key streams: what each random key is for, and the numbers that keep them apart.

Keys form a tree. Each is folded in from the one above it, and none is used for two things:

    run ── initial model ── groups
     ├──── measures
     ├──── fine-tuning
     └──── round r ── cohort
               ├───── faults ── dropouts, stragglers, attack ── client n
               ├───── noise
               ├───── second stage ── client …
               └───── client n ── statistics
                         └─────── epoch e ── shuffling
                                     └────── batch b

    sketch ── leaf l ── block of columns c

So what a client draws depends on its number, the round and the run's key alone: not on who else
trains, in which order, or how many at once. A number here never changes, for results would.
"""

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

Number = int | Int[Array, ""]
"""Which of a stream's keys: 0 or more, far below the numbers at the end that have names."""

# Counted from the last number of 32 bits, which no round and no client reaches.
_INITIAL_MODEL = np.uint32(2**32 - 1)  # of a run, among its rounds
_MEASURES = np.uint32(2**32 - 2)
_FINE_TUNING = np.uint32(2**32 - 3)
_GROUPS = np.uint32(2**32 - 1)  # of an initial model
_COHORT = np.uint32(2**32 - 1)  # of a round, among its clients
_FAULTS = np.uint32(2**32 - 2)
_NOISE = np.uint32(2**32 - 3)
_SECOND_STAGE = np.uint32(2**32 - 4)
_STATISTICS = np.uint32(2**32 - 1)  # of a client, among its epochs
# Of faults.
_DROPOUTS = 0
_STRAGGLERS = 1
_ATTACK = 2
# Of an epoch.
_SHUFFLING = 0
_FIRST_BATCH = 1


def for_initial_model(run: PRNGKeyArray) -> PRNGKeyArray:
    """The key of a run's initial model, which no round is given."""
    return jax.random.fold_in(run, _INITIAL_MODEL)


def for_groups(of_model: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws which group of a given tree each client is in, before any round."""
    return jax.random.fold_in(of_model, _GROUPS)


def for_measures(run: PRNGKeyArray) -> PRNGKeyArray:
    """The keys ``[2]`` that draw which test examples, and which clients, a run measures."""
    return jax.random.split(jax.random.fold_in(run, _MEASURES))


def for_fine_tuning(run: PRNGKeyArray) -> PRNGKeyArray:
    """The key of what clients do before they are scored, the same after every round."""
    return jax.random.fold_in(run, _FINE_TUNING)


def for_round(run: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of a run's round; the first is 0."""
    return jax.random.fold_in(run, number)


def for_cohort(of_round: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws who trains in a round, which no client is given."""
    return jax.random.fold_in(of_round, _COHORT)


def for_faults(of_round: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws who fails in a round: drops out, straggles or sends what it should not."""
    return jax.random.fold_in(of_round, _FAULTS)


def for_dropouts(of_faults: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws who drops out of a round, from which each client's own follows."""
    return jax.random.fold_in(of_faults, _DROPOUTS)


def for_stragglers(of_faults: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws who straggles in a round, and how much, likewise."""
    return jax.random.fold_in(of_faults, _STRAGGLERS)


def for_attack(of_faults: PRNGKeyArray) -> PRNGKeyArray:
    """The key of what attackers draw in a round, likewise."""
    return jax.random.fold_in(of_faults, _ATTACK)


def for_noise(of: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the noise on a round's means, or on a batch's gradient, as for privacy."""
    return jax.random.fold_in(of, _NOISE)


def for_second_stage(of_round: PRNGKeyArray) -> PRNGKeyArray:
    """The key of a second local training in a round, from which clients' own follow as well."""
    return jax.random.fold_in(of_round, _SECOND_STAGE)


def for_client(of_round: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of a client's local training in a round."""
    return jax.random.fold_in(of_round, number)


def for_epoch(of_client: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of an epoch of a client's local training."""
    return jax.random.fold_in(of_client, number)


def for_statistics(of_client: PRNGKeyArray) -> PRNGKeyArray:
    """The key of the pass over a client's examples that makes a model's statistics anew."""
    return jax.random.fold_in(of_client, _STATISTICS)


def for_shuffling(of_epoch: PRNGKeyArray) -> PRNGKeyArray:
    """The key that draws the order of a client's examples in an epoch."""
    return jax.random.fold_in(of_epoch, _SHUFFLING)


def for_batch(of_epoch: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of a batch's loss, as for dropout; the first is 0."""
    return jax.random.fold_in(of_epoch, _FIRST_BATCH + number)


def for_part(of: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of one of many alike parts: a group, a leaf, a batch, a stream of random numbers."""
    return jax.random.fold_in(of, number)


def for_sketch(seed: int) -> PRNGKeyArray:
    """The key of a random projection, the same in all rounds."""
    return jax.random.key(seed)


def for_halves() -> PRNGKeyArray:
    """The key that draws halves of all examples, by which one sees how sure groups are."""
    return jax.random.fold_in(jax.random.key(0), 3)


def for_sample() -> PRNGKeyArray:
    """The key of which clients stand for all where chance is asked, the same in all rounds."""
    return jax.random.fold_in(jax.random.key(0), 1)


def for_surrogates() -> PRNGKeyArray:
    """The key of clients that chance makes, the same in all rounds."""
    return jax.random.fold_in(jax.random.key(0), 2)


def for_leaf(of_sketch: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of a projection's signs for one leaf of a model."""
    return jax.random.fold_in(of_sketch, number)


def for_columns(of_leaf: PRNGKeyArray, number: Number) -> PRNGKeyArray:
    """The key of a projection's signs for one block of a leaf's columns."""
    return jax.random.fold_in(of_leaf, number)
