"""Pictures: functions that draw into matplotlib axes and return them."""

from demjax.plots.partition import labels_by_client

__all__ = ["labels_by_client"]
