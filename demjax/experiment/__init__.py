"""From names and numbers to a run: options, their checks, and what they are built into.

Presets are here too. A choice itself (an algorithm, a partition, …) is registered in its own file.
"""

from demjax.experiment.experiment import Experiment

__all__ = ["Experiment"]
