"""How well models do, and what their hierarchy looks like: one code that scores every algorithm.

A new measure is a file here. What is written of it to a run's folder is in ``runs``.
"""

from demjax.metrics.accuracy import Measures, measure
from demjax.metrics.communication import bytes_in_a_round, model_bytes
from demjax.metrics.selection import MEASURES, TakeMeasures
from demjax.metrics.tree import Structure, adjusted_rand, describe, label_sets, moved

__all__ = [
    "MEASURES",
    "Measures",
    "Structure",
    "TakeMeasures",
    "adjusted_rand",
    "bytes_in_a_round",
    "describe",
    "label_sets",
    "measure",
    "model_bytes",
    "moved",
]
