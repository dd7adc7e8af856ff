"""The loss of test data."""

from demjax.base import Task
from demjax.metrics.extra import Metric
from demjax.registry import METRICS


@METRICS.register(label="Test loss")
def loss(task: Task) -> Metric:
    """The task's loss in evaluation mode, ``Σ_b ℓ(outputs_b, y_b) / B``, as cross-entropy.

    Args:
        task: What is learned.

    Raises:
        ValueError: If the task does not say what the loss of an example is.
    """
    if task.losses is None:
        raise ValueError(
            "The extra measure 'loss' needs a task that says the loss of each example; possible is "
            "Task(…, losses=…), which classification and regression have."
        )
    return Metric(task.losses)
