"""What one client learns: the loss of a batch and the score of an example, for one model.

A new kind of learning (regression, language, policies) is a file here. Networks belong to
``models``, scores over clients and groups to ``metrics``.
"""

from demjax.tasks.classification import classification

__all__ = ["classification"]
