"""Learning systems, one short file each, by family, all made of the same parts.

None imports another; what two need belongs to ``clients``, ``hierarchy`` or ``clustering``.
"""

from demjax.algorithms.federated import fedavg, fedprox
from demjax.algorithms.hierarchical import demlearn
from demjax.algorithms.personalized import local_only

__all__ = ["demlearn", "fedavg", "fedprox", "local_only"]
