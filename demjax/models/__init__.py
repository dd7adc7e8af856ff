"""Models as Flax modules, and the convolution that stays fast for many of them."""

from demjax.models.convolution import conv_direct, conv_for_backend, conv_product, conv_tiles
from demjax.models.layers import chosen_layers, layer_paths
from demjax.models.networks import CNN, MLP, CifarCNN, Linear, PFLlibCNN

__all__ = [
    "CNN",
    "MLP",
    "CifarCNN",
    "Linear",
    "PFLlibCNN",
    "chosen_layers",
    "conv_direct",
    "conv_for_backend",
    "conv_product",
    "conv_tiles",
    "layer_paths",
]
