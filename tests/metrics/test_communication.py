"""Bytes of models, counted by hand."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from demjax.hierarchy.groups import under_one_root
from demjax.metrics import bytes_in_a_round, model_bytes


class Info(NamedTuple):
    loss: np.ndarray


class OwnBytes(NamedTuple):
    loss: np.ndarray
    bytes_up: int
    bytes_down: int = 5


LOSS = np.array([0.5, np.nan, 1.0, np.nan], np.float32)


def test_a_model_is_the_bytes_of_one_clients_arrays():
    client = {"w": jnp.zeros((4, 3, 2)), "b": jnp.zeros((4, 2), jnp.bfloat16)}
    root = {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2, jnp.bfloat16)}
    models = under_one_root(client, root)
    assert model_bytes(models) == 3 * 2 * 4 + 2 * 2
    assert model_bytes(models._replace(group=None)) == 0


def test_who_takes_part_sends_a_model_and_is_sent_one():
    assert bytes_in_a_round(Info(LOSS), 28, 4) == (56, 56)
    assert bytes_in_a_round(None, 28, 4) == (112, 112)
    assert bytes_in_a_round(Info(np.float32(0.5)), 28, 4) == (112, 112)


def test_what_an_algorithm_says_of_itself_wins():
    assert bytes_in_a_round(OwnBytes(LOSS, 0), 28, 4) == (0, 5)
