"""Bytes of models that travel between clients and their server in a round."""

from typing import Any

import numpy as np

from demjax import pytrees
from demjax.base import Models


def model_bytes(models: Models) -> int:
    """Bytes of one model, as a client sends it to its server or receives it.

    Args:
        models: An algorithm's models, arrays or their shapes.

    Returns:
        The bytes of one client's arrays in their own precision; 0 where there is no server, that
        is, where ``models.group`` is ``None``. Numbers that are stored in 16 bits here travel in
        32 all the same: how a simulation holds models is no matter of what clients send.
    """
    if models.group is None:
        return 0
    return pytrees.model_bytes(models.client)


def bytes_in_a_round(info: Any, one_model: int, clients: int) -> tuple[float, float]:
    """Bytes that all clients send up, and that are sent down to them, in a round.

    By default everyone who takes part sends a model and is sent one: ``participants x bytes of a
    model`` each way. Who takes part is who has a ``loss`` in the round's info; where it has no
    such field, everybody does. An algorithm in which other things travel says so itself, by
    the fields ``bytes_up`` and ``bytes_down`` of its info, which win.

    Args:
        info: What the algorithm tells of a round: fields by name, or ``None``.
        one_model: Bytes of one model, ``model_bytes``.
        clients: Number of clients.

    Returns:
        Bytes up and bytes down.
    """
    loss = getattr(info, "loss", None)
    per_client = loss is not None and np.shape(loss) == (clients,)
    participants = int(np.sum(~np.isnan(np.asarray(loss)))) if per_client else clients
    counted = participants * one_model
    up, down = (getattr(info, name, counted) for name in ("bytes_up", "bytes_down"))
    return float(up), float(down)
