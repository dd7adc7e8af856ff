"""A model of its own for every client."""

from demjax.algorithms.personalized.ditto import ditto as ditto
from demjax.algorithms.personalized.local_only import local_only as local_only
from demjax.algorithms.personalized.pfedme import pfedme as pfedme
