"""Groups of groups: models averaged and mixed along a tree, given or found."""

from demjax.algorithms.hierarchical.demlearn import demlearn as demlearn
from demjax.algorithms.hierarchical.demlearn_rep import demlearn_rep as demlearn_rep
from demjax.algorithms.hierarchical.fixed_tree import fixed_tree as fixed_tree
from demjax.algorithms.hierarchical.hierfavg import hierfavg as hierfavg
