"""What clients hold once a server sent its model."""

from demjax.base import Params
from demjax.clients import participation
from demjax.clients.local_training import LocalTraining
from demjax.pytrees import stack_copies


def sent(
    local: LocalTraining, own: Params, model: Params, cohort: participation.Cohort = None
) -> Params:
    """Client models once a cohort was sent a model: theirs is that one, all others keep their own.

    Args:
        local: How clients train, which says what is theirs alone, such as batch statistics.
        own: What clients hold, leaves ``[N, ...]``.
        model: What is sent, a plain pytree.
        cohort: Whom it is sent; by default everyone.
    """
    given = local.begin(own, stack_copies(model, own.count))
    return participation.kept(own, cohort, given)
