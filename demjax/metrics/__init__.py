"""How well models do, and what their hierarchy looks like: one code that scores every algorithm.

A new measure is a file here. What is written of it to a run's folder is in ``runs``.
"""

from demjax.metrics.accuracy import Measures as Measures
from demjax.metrics.accuracy import measure as measure
from demjax.metrics.communication import bytes_in_a_round as bytes_in_a_round
from demjax.metrics.communication import model_bytes as model_bytes
from demjax.metrics.selection import MEASURES as MEASURES
from demjax.metrics.selection import TakeMeasures as TakeMeasures
from demjax.metrics.tree import Structure as Structure
from demjax.metrics.tree import adjusted_rand as adjusted_rand
from demjax.metrics.tree import describe as describe
from demjax.metrics.tree import label_sets as label_sets
from demjax.metrics.tree import moved as moved
