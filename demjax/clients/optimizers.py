"""Local optimizers, and a server's: those of Optax under the names that tables use."""

from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from demjax.registry import OPTIMIZERS, Range

Rate = Annotated[float, Range(0, 1e3)]
Share = Annotated[float, Range(0, 1)]


@OPTIMIZERS.register()
def sgd(
    *,
    lr: Rate = 0.05,
    momentum: Annotated[float | None, Range(0, 1)] = None,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Stochastic gradient descent, ``m ← β m + g``, ``w ← w − η m``.

    Args:
        lr: learning rate η
        momentum: β; by default none
        nesterov: whether the momentum looks ahead
    """
    return optax.sgd(lr, momentum=momentum, nesterov=nesterov)


@OPTIMIZERS.register()
def adam(
    *, lr: Rate = 0.001, b1: Share = 0.9, b2: Share = 0.999, eps: Rate = 1e-8
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, arXiv 1412.6980).

    Args:
        lr: learning rate η
        b1: decay of the mean of gradients
        b2: decay of the mean of their squares
        eps: added to the root of the latter
    """
    return optax.adam(lr, b1=b1, b2=b2, eps=eps)


@OPTIMIZERS.register()
def adamw(
    *,
    lr: Rate = 0.001,
    b1: Share = 0.9,
    b2: Share = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Rate = 1e-4,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).

    Args:
        lr: learning rate η
        b1: decay of the mean of gradients
        b2: decay of the mean of their squares
        eps: added to the root of the latter
        weight_decay: what of a weight is taken off each step, times the rate
    """
    return optax.adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)


@OPTIMIZERS.register()
def adagrad(*, lr: Rate = 0.01, eps: Rate = 1e-7) -> optax.GradientTransformation:
    """Adagrad (Duchi et al., JMLR 12, 2011).

    Args:
        lr: learning rate η
        eps: added to the sum of squared gradients
    """
    return optax.adagrad(lr, eps=eps)


@OPTIMIZERS.register()
def yogi(
    *, lr: Rate = 0.01, b1: Share = 0.9, b2: Share = 0.999, eps: Rate = 1e-3
) -> optax.GradientTransformation:
    """Yogi (Zaheer et al., NeurIPS 2018).

    Args:
        lr: learning rate η
        b1: decay of the mean of gradients
        b2: decay of the mean of their squares
        eps: added to the root of the latter
    """
    return optax.yogi(lr, b1=b1, b2=b2, eps=eps)


def of_gradients(
    whose: str, optimizer: optax.GradientTransformation
) -> optax.GradientTransformation:
    """The optimizer, if a gradient is all that its steps are made of.

    Raises:
        ValueError: If it needs the loss as well, or a function of it, as line searches do.
    """
    model = {"weight": jnp.zeros(1)}
    try:
        jax.eval_shape(lambda: optimizer.update(model, optimizer.init(model), model))
    except TypeError as error:
        if "required keyword-only argument" in str(error):
            needs = str(error).split(": ")[-1]
            raise ValueError(
                f"{whose} gives an optimizer gradients alone, but this one needs {needs} as well; "
                "possible is one without a line search or a plateau, and over_rounds for schedules."
            ) from None
    except Exception:
        pass  # it is made for models of another form, such as certain layers
    return optimizer
