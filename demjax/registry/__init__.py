"""What can be chosen by name, and what its signature says of it.

A choice is registered where it is written, and nowhere else:

    @ALGORITHMS.register(label="Ditto", paper="Li et al., ICML 2021, arXiv 2012.04221")
    def ditto(local: LocalTraining, *, prox: Annotated[Number, Range(0, 1e6)] = 1.0) -> Algorithm:

Its parameters are its options, as arguments in Python, flags, and keys of a TOML table, under one
name each, with the default, range and words of the annotation and the help of the docstring. A
parameter that is annotated with a registry takes a choice of it or its name, and what that one
takes besides. A new *kind* of choice is a line in ``kinds``; what is chosen does not belong here.
"""

from demjax.registry.calls import configurable
from demjax.registry.choices import Choice, Registry, Slot, call, code_in, expand, slot_of
from demjax.registry.kinds import (
    ALGORITHMS,
    ATTACKS,
    CLUSTERINGS,
    CONFLICTS,
    CUTS,
    DATASETS,
    DISTANCES,
    FEATURES,
    LINKAGES,
    MEANS,
    METRICS,
    MODELS,
    NORMALIZATIONS,
    OPTIMIZERS,
    PARTITIONS,
    STARTS,
)
from demjax.registry.ranges import Number, Range, Share, check_number, check_whole, nearest
from demjax.registry.signatures import REQUIRED, Option, Passes, accepts, options_of
from demjax.registry.values import check_made, check_value, read_word

__all__ = [
    "ALGORITHMS",
    "ATTACKS",
    "CLUSTERINGS",
    "CONFLICTS",
    "CUTS",
    "DATASETS",
    "DISTANCES",
    "FEATURES",
    "LINKAGES",
    "MEANS",
    "METRICS",
    "MODELS",
    "NORMALIZATIONS",
    "OPTIMIZERS",
    "PARTITIONS",
    "REQUIRED",
    "STARTS",
    "Choice",
    "Number",
    "Option",
    "Passes",
    "Range",
    "Registry",
    "Share",
    "Slot",
    "accepts",
    "call",
    "check_made",
    "check_number",
    "check_value",
    "check_whole",
    "code_in",
    "configurable",
    "expand",
    "nearest",
    "options_of",
    "read_word",
    "slot_of",
]
