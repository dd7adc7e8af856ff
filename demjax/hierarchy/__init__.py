"""Groups as arrays: who is in which, means from the bottom up, mixing from the top down.

Anything that averages or mixes models over a given tree belongs here. How a tree is *found* does
not: see ``clustering``.
"""

from demjax.hierarchy.groups import flat_groups as flat_groups
from demjax.hierarchy.groups import flat_index as flat_index
from demjax.hierarchy.groups import from_groups as from_groups
from demjax.hierarchy.groups import lowest_group as lowest_group
from demjax.hierarchy.groups import membership as membership
from demjax.hierarchy.groups import no_server as no_server
from demjax.hierarchy.groups import parent_group as parent_group
from demjax.hierarchy.groups import root_only as root_only
from demjax.hierarchy.groups import under_one_root as under_one_root
from demjax.hierarchy.groups import without as without
from demjax.hierarchy.means import group_means as group_means
from demjax.hierarchy.means import mean_of_all as mean_of_all
from demjax.hierarchy.means import mean_shares as mean_shares
from demjax.hierarchy.mixing import Start as Start
from demjax.hierarchy.mixing import Weighting as Weighting
from demjax.hierarchy.mixing import by_examples as by_examples
from demjax.hierarchy.mixing import from_own as from_own
from demjax.hierarchy.mixing import from_parent as from_parent
from demjax.hierarchy.mixing import from_root as from_root
from demjax.hierarchy.mixing import mix_down as mix_down
from demjax.hierarchy.mixing import mixing as mixing
from demjax.hierarchy.mixing import per_level as per_level
from demjax.hierarchy.robust_means import Average as Average
from demjax.hierarchy.robust_means import clipped as clipped
from demjax.hierarchy.robust_means import noised as noised
from demjax.hierarchy.robust_means import weighted_mean as weighted_mean
