"""What travels between devices, from texts of programs and from one that is compiled here."""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from demjax.backend.collectives import collectives
from demjax.backend.sharding import AXIS, spread_over

TEXT = """
  %a = f32[8,16]{1,0} all-gather(f32[4,16]{1,0} %x), dimensions={0}
  %b = (f32[3]{0}, bf16[2,2]{1,0}) all-reduce-start(f32[3]{0} %y, bf16[2,2]{1,0} %z), to_apply=%add
  %c = (f32[3]{0}, bf16[2,2]{1,0}) all-reduce-done(%b)
  %d = pred[] all-reduce(pred[] %w), to_apply=%or
  %e = u8[100]{0} fusion(u8[100]{0} %v), calls=%all-gather.clone
"""


def test_bytes_are_those_of_the_results_by_kind():
    assert collectives(TEXT) == {"all-gather": [4 * 8 * 16], "all-reduce": [12 + 8, 1]}
    assert collectives("") == {}


def test_a_sum_over_devices_is_seen_in_what_is_compiled():
    def total(x):
        return jax.lax.psum(jnp.sum(x, axis=0), AXIS)

    with spread_over(2):
        parts = jax.shard_map(total, in_specs=PartitionSpec(AXIS), out_specs=PartitionSpec())
        text = jax.jit(parts).lower(jnp.ones((4, 30))).compile().as_text()
    assert collectives(text) == {"all-reduce": [4 * 30]}
