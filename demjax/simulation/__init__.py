"""Runs: rounds and measures as one program or watched round by round, and sweeps of many runs.

What is written down of a run belongs to ``runs``, what it is made of to ``experiment``.
"""

from demjax.simulation.over_rounds import over_rounds
from demjax.simulation.run import History, Moment, simulate, watch
from demjax.simulation.sweep import grid, sweep

__all__ = ["History", "Moment", "grid", "over_rounds", "simulate", "sweep", "watch"]
