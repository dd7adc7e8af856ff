"""What one client learns: the loss of a batch and the score of an example, for one model.

A new kind of learning (language, policies) is a file here. Networks belong to
``models``, scores over clients and groups to ``metrics``.
"""

from demjax.tasks.classification import classification
from demjax.tasks.regression import regression

__all__ = ["classification", "regression"]
