"""demjax's first model in a PyTorch module, and the check numbers of a PyTorch module."""

import numpy as np
import torch
from side import BATCH
from torch import nn
from torch_loop import Examples


def fill(model: nn.Sequential, weights: dict[str, np.ndarray]) -> nn.Sequential:
    """Set the layers to the arrays, turned into PyTorch's order of axes.

    After a convolution, the rows of a dense kernel are in the order height, width, channel there
    and channel, height, width here.
    """
    layers = [layer for layer in model if isinstance(layer, nn.Conv2d | nn.Linear)]
    names = sorted(weights)
    kernels = [weights[name] for name in names if name.endswith("kernel")]
    biases = [weights[name] for name in names if name.endswith("bias")]
    channels = 1
    for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
        if isinstance(layer, nn.Conv2d):
            array, channels = kernel.transpose(3, 2, 0, 1), kernel.shape[3]
        else:
            apart = kernel.reshape(-1, channels, kernel.shape[1])
            array, channels = apart.transpose(2, 1, 0).reshape(kernel.shape[::-1]), 1
        layer.weight.data.copy_(torch.from_numpy(np.ascontiguousarray(array)))
        layer.bias.data.copy_(torch.from_numpy(bias))
    return model


def norm(model: nn.Module) -> float:
    """Euclidean norm of all parameters."""
    return float(nn.utils.parameters_to_vector(model.parameters()).detach().norm())


@torch.inference_mode()
def accuracy(model: nn.Module, test: list[Examples], size: int = 16 * BATCH) -> float:
    """Share of all clients' test examples that the model labels rightly."""
    model.eval()
    x, y = (torch.cat(column) for column in zip(*test, strict=True))
    batches = zip(x.split(size), y.split(size), strict=True)
    return float(sum((model(a).argmax(1) == b).sum() for a, b in batches)) / len(y)
