"""Groups of groups: models averaged and mixed along a tree, given or found."""

from demjax.algorithms.hierarchical.demlearn import demlearn as demlearn
