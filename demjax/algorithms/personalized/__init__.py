"""A model of its own for every client."""

from demjax.algorithms.personalized.apfl import apfl as apfl
from demjax.algorithms.personalized.ditto import ditto as ditto
from demjax.algorithms.personalized.fedala import fedala as fedala
from demjax.algorithms.personalized.fedbn import fedbn as fedbn
from demjax.algorithms.personalized.fedper import fedper as fedper
from demjax.algorithms.personalized.fedrep import fedrep as fedrep
from demjax.algorithms.personalized.local_only import local_only as local_only
from demjax.algorithms.personalized.per_fedavg import per_fedavg as per_fedavg
from demjax.algorithms.personalized.pfedme import pfedme as pfedme
