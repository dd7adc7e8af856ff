"""Private means: clients' updates are clipped, and noise is added to their mean.

McMahan et al., *Learning Differentially Private Recurrent Language Models*, ICLR 2018, arXiv
1710.06963 (DP-FedAvg).
"""

import jax
import jax.numpy as jnp
from jax import lax

from demjax import keys
from demjax.clients.private_steps import Private
from demjax.hierarchy.robust_means import Average
from demjax.pytrees import as_pytree, like


def private_mean(how: Private) -> Average:
    """The mean of clipped updates with Gaussian noise, on every level of a hierarchy.

    ``w_a = r_a + (Σ_n min(1, C / ‖w_n − r_a‖) (w_n − r_a) + z C ξ) / n_a`` for the ``n_a`` members
    of row ``a``, which count alike whatever their weights are; ``r_a`` is the model that is
    replaced, ``ξ ~ N(0, I)``. A member whose model is not finite counts as one without an update.

    Args:
        how: ``C`` and ``z``, as ``clients.private_steps.private`` makes them.
    """

    def average(models, weight, *, reference, key):
        def of_row(row):
            members, start = row
            update = jax.tree.map(lambda w, r: w - r, models, start)
            squares = [
                jnp.sum(jnp.square(leaf).reshape(leaf.shape[0], -1), axis=1)
                for leaf in jax.tree.leaves(update)
            ]
            length = jnp.sqrt(sum(squares))
            sound = members & jnp.isfinite(length)
            share = jnp.where(sound, jnp.minimum(1, how.clip / jnp.maximum(length, 1e-30)), 0)

            def total(leaf):
                wide = sound.reshape(-1, *[1] * (leaf.ndim - 1))
                kept = jnp.where(wide, leaf, 0)
                return jnp.tensordot(share, kept, axes=1, precision=lax.Precision.HIGHEST)

            return jax.tree.map(total, update)

        members = weight > 0
        sums = as_pytree(lax.map(of_row, (members, reference)))
        count = jnp.maximum(jnp.sum(members, axis=1), 1)
        leaves, form = jax.tree.flatten(sums)

        def noised(number, leaf):
            drawn = jax.random.normal(keys.for_part(key, number), leaf.shape, leaf.dtype)
            wide = count.reshape(-1, *[1] * (leaf.ndim - 1))
            return (leaf + how.noise * how.clip * drawn) / wide

        steps = jax.tree.unflatten(form, [noised(n, leaf) for n, leaf in enumerate(leaves)])
        step = like(reference, steps, exact=True)
        return jax.tree.map(jnp.add, reference, step)

    return average
