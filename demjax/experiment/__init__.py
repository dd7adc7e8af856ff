"""From names and numbers to a run: options, their checks, and what they are built into.

``tables`` are the options that every run has, ``config`` reads and writes them as TOML, ``presets``
are files of them, ``build`` makes data, model and algorithm. A choice itself (an algorithm, a
partition, …) and its options are written in its own file, not here.
"""

from demjax.experiment.experiment import Experiment, resolve

__all__ = ["Experiment", "resolve"]
