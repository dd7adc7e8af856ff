"""Groups as arrays: who is in which, means from the bottom up, mixing from the top down.

Anything that averages or mixes models over a given tree belongs here. How a tree is *found* does
not: see ``clustering``.
"""

from demjax.hierarchy.groups import (
    flat_groups,
    flat_index,
    from_groups,
    lowest_group,
    membership,
    no_server,
    parent_group,
    root_model,
    root_only,
    single_group,
    under_one_root,
    without,
)
from demjax.hierarchy.means import group_means, mean_of_all, mean_shares, soft_update
from demjax.hierarchy.mixing import (
    by_examples,
    from_own,
    from_parent,
    from_root,
    mix_down,
    mixing,
    per_level,
)
from demjax.hierarchy.robust_means import Average, clipped, noised, weighted_mean

__all__ = [
    "Average",
    "by_examples",
    "clipped",
    "flat_groups",
    "flat_index",
    "from_groups",
    "from_own",
    "from_parent",
    "from_root",
    "group_means",
    "lowest_group",
    "mean_of_all",
    "mean_shares",
    "membership",
    "mix_down",
    "mixing",
    "no_server",
    "noised",
    "parent_group",
    "per_level",
    "root_model",
    "root_only",
    "single_group",
    "soft_update",
    "under_one_root",
    "weighted_mean",
    "without",
]
