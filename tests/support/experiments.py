"""Experiments by keyword, as tests write them."""

from demjax.experiment import Experiment, resolve


def experiment(**options) -> Experiment:
    """An experiment of some options, checked, with the defaults of all others."""
    return resolve(options)
