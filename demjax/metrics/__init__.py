"""How well models do, and what their hierarchy looks like: one code that scores every algorithm.

A new measure is a file here. What is written of it to a run's folder is in ``runs``.
"""

from demjax.metrics.accuracy import Measures, measure
from demjax.metrics.tree import Structure, adjusted_rand, describe, label_sets, moved

__all__ = ["Measures", "Structure", "adjusted_rand", "describe", "label_sets", "measure", "moved"]
