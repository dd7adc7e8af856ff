"""Learning systems, one short file each, by family, all made of the same parts.

A new one is a file in its family's folder and a line in that folder's ``__init__``. None imports
another; what two need belongs to ``clients``, ``hierarchy`` or ``clustering``.
"""

from demjax.algorithms.clustered import *  # noqa: F403
from demjax.algorithms.federated import *  # noqa: F403
from demjax.algorithms.hierarchical import *  # noqa: F403
from demjax.algorithms.personalized import *  # noqa: F403
