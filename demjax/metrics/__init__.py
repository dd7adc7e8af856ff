"""How well models do, and what their hierarchy looks like: one code that scores every algorithm.

A measure beside the score is a file here, registered by its name, and a line below. What is written
of it to a run's folder is in ``runs``.
"""

from demjax.metrics.accuracy import Measures as Measures
from demjax.metrics.accuracy import measure as measure
from demjax.metrics.balanced_accuracy import balanced_accuracy as balanced_accuracy
from demjax.metrics.communication import bytes_in_a_round as bytes_in_a_round
from demjax.metrics.communication import model_bytes as model_bytes
from demjax.metrics.extra import Metric as Metric
from demjax.metrics.fairness import Fairness as Fairness
from demjax.metrics.fairness import fairness_of as fairness_of
from demjax.metrics.loss import loss as loss
from demjax.metrics.majority import Majority as Majority
from demjax.metrics.majority import majority as majority
from demjax.metrics.means import Errors as Errors
from demjax.metrics.means import Means as Means
from demjax.metrics.selection import MEASURES as MEASURES
from demjax.metrics.selection import TakeMeasures as TakeMeasures
from demjax.metrics.tree import Structure as Structure
from demjax.metrics.tree import adjusted_rand as adjusted_rand
from demjax.metrics.tree import describe as describe
from demjax.metrics.tree import label_sets as label_sets
from demjax.metrics.tree import moved as moved
