"""Models of every kind as one: what tasks need of a Linen or NNX module, or of a pair of functions.

A model then is a plain pytree. Without state it is its parameters; with state, such as batch
statistics, it is ``{"params": …, "batch_stats": …}``.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import errors, nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Num, PRNGKeyArray

from demjax import keys
from demjax.arrays import on_device
from demjax.base import Params
from demjax.models.last_layer import has_others, inputs_of_dense_layers


class Network(NamedTuple):
    """What tasks need of a model.

    Attributes:
        init: ``(key) -> model``: a fresh one.
        train: ``(model, x[B], key) -> (outputs, model)``: in training mode, and the model with the
            state after that.
        predict: ``(model, x[B]) -> outputs``: in evaluation mode.
        state: ``(model) -> truth values``: for each leaf whether it is state; ``None`` if there is
            none.
        train_with_features: As ``train``, with a third result: the inputs ``[B, ...]`` of the last
            dense layer. ``None`` if that is the only layer, or the model is no Linen module.
    """

    init: Callable[[PRNGKeyArray], Params]
    train: Callable[[Params, Array, PRNGKeyArray], tuple[Array, Params]]
    predict: Callable[[Params, Array], Array]
    state: Callable[[Params], Params] | None
    train_with_features: Callable[..., tuple[Array, Params, Array]] | None = None


def network(model: Any, example: Num[Array, " *shape"]) -> Network:
    """Adapt a model.

    Args:
        model: One of

            - a Flax Linen module, called as ``model(x[B, ...], train=bool)``, with random numbers
              from the stream ``"dropout"`` when ``train`` is true; collections beside ``"params"``
              are state;
            - a Flax NNX module, which starts from its own numbers whatever the key; or a function
              of ``rngs``, such as ``lambda rngs: Net(4, 3, rngs=rngs)``, or of nothing, that makes
              one; ``nnx.BatchStat`` is state, random streams follow from the key;
            - a pair of functions ``init(key, example[1, ...]) -> params`` and
              ``apply(params, x[B, ...], train=bool, key=key)``.

            ``train`` and ``key`` are given to those only that take them.
        example: One input, for its shape and whether it is of whole numbers, as ``unrounded``.

    Returns:
        The network.

    Raises:
        ValueError: One sentence, if the model is of no such kind; for a Linen module, if it cannot
            be called so, or evaluates as it trains, then also when it is traced.
    """
    one = unrounded(on_device(example, "The example"), jnp.float32)[None]
    if isinstance(model, nn.Module):
        return _linen(model, one)
    if isinstance(model, tuple | list) and len(model) == 2 and all(map(callable, model)):
        init, apply = model
        return _pair(init, apply, one)
    made = _made(model)
    if isinstance(made, nnx.Module):
        return _nnx(model, made)
    given = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
    raise ValueError(
        "A model needs to be a Flax Linen module, a Flax NNX module or a function that makes one, "
        f"or a pair of functions (init, apply), but {given} was given."
    )


def unrounded(x: Num[Array, " *shape"], compute: DTypeLike) -> Num[Array, " *shape"]:
    """Inputs as a model sees them: whole numbers as such, all else in what it computes with.

    Whole numbers may be those of words, which 16 bits would confuse. Bytes are pixels: every
    float holds them, and differences of them.
    """
    if jnp.issubdtype(x.dtype, jnp.integer) and x.dtype != jnp.uint8:
        return x if x.dtype == jnp.uint32 else x.astype(jnp.int32)
    return x.astype(compute)


def _linen(model: nn.Module, one: Num[Array, " 1 *shape"]) -> Network:
    takes = partial(_taken, type(model).__call__)
    layers: list[tuple[tuple[str, ...], Array]] = []
    with _as_documented(model), inputs_of_dense_layers(layers):
        start = partial(model.init, **takes(train=False))
        variables = jax.eval_shape(start, jax.random.key(0), one)
    collections = [name for name in variables if name != "params"]

    def init(key):
        made = model.init(key, one, **takes(train=False))
        return made if collections else made["params"]

    def whole(params):
        return params if collections else {"params": params}

    def train(params, x, key):
        options = {"rngs": {"dropout": key}, **takes(train=True)}
        if not collections:
            return model.apply(whole(params), x, **options), params
        outputs, after = model.apply(params, x, mutable=collections, **options)
        return outputs, {**params, **after}

    def predict(params, x):
        with _as_documented(model):
            return model.apply(whole(params), x, **takes(train=False))

    def train_with_features(params, x, key):
        found: list[tuple[tuple[str, ...], Array]] = []
        with inputs_of_dense_layers(found):
            outputs, after = train(params, x, key)
        return outputs, after, found[-1][1]

    state = _state_mask if collections else None
    deep = bool(layers) and has_others(variables["params"], layers[-1][0])
    return Network(init, train, predict, state, train_with_features if deep else None)


@contextmanager
def _as_documented(model: nn.Module) -> Iterator[None]:
    """Say in a sentence what Flax says of a model that knows no difference of the modes."""
    try:
        yield
    except (errors.FlaxError, TypeError, ValueError) as error:
        mode = isinstance(error, errors.ModifyScopeVariableError | errors.InvalidRngError)
        said = str(error).split(" (https:")[0].rstrip(".")
        if not mode and "use_running_average" not in said and "missing" not in said:
            raise
        raise ValueError(
            f"The model {type(model).__name__} cannot be evaluated as model(x, train=False): "
            f"{said}; possible is __call__(self, x, *, train) with "
            "BatchNorm(use_running_average=not train) and Dropout(deterministic=not train)."
        ) from error


def _pair(init: Callable, apply: Callable, one: Num[Array, " 1 *shape"]) -> Network:
    takes = partial(_taken, apply)

    def train(params, x, key):
        return apply(params, x, **takes(train=True, key=key)), params

    def predict(params, x):
        return apply(params, x, **takes(train=False, key=None))

    return Network(lambda key: init(key, one), train, predict, None)


def _nnx(model: Any, made: nnx.Module) -> Network:
    form, parameters, statistics, streams, rest = nnx.split(
        made, nnx.Param, nnx.BatchStat, nnx.RngState, ...
    )
    forms = jax.tree.structure(parameters), jax.tree.structure(statistics)
    has_state = bool(jax.tree.leaves(statistics))
    takes = partial(_taken, type(made).__call__)

    def as_model(parameters, statistics):
        plain = nnx.to_pure_dict(parameters)
        if not has_state:
            return plain
        return {"params": plain, "batch_stats": nnx.to_pure_dict(statistics)}

    def init(key):
        fresh = model if isinstance(model, nnx.Module) else _made(model, key)
        return as_model(*nnx.split(fresh, nnx.Param, nnx.BatchStat, ...)[1:3])

    def merged(params, key):
        parts = (params["params"], params["batch_stats"]) if has_state else (params, {})
        states = [
            jax.tree.unflatten(form, jax.tree.leaves(part))
            for form, part in zip(forms, parts, strict=True)
        ]
        return nnx.merge(form, *states, _seeded(streams, key), rest)

    def train(params, x, key):
        module = merged(params, key)
        module.train()
        outputs = module(x, **takes(train=True))
        _, _, after, _ = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
        if not has_state:
            return outputs, params
        return outputs, {**params, "batch_stats": nnx.to_pure_dict(after)}

    def predict(params, x):
        module = merged(params, jax.random.key(0))
        module.eval()
        return module(x, **takes(train=False))

    return Network(init, train, predict, _state_mask if has_state else None)


def _seeded(streams: nnx.State, key: PRNGKeyArray) -> nnx.State:
    """Random streams of an NNX module, each with a key of its own that follows from one key."""
    leaves, form = jax.tree.flatten(streams)
    new = [
        keys.for_part(key, number) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(form, new)


def _made(model: Any, key: PRNGKeyArray | None = None) -> Any:
    """The module that a function of ``rngs``, or of nothing, makes; anything else as it is."""
    if isinstance(model, nnx.Module) or not callable(model):
        return model
    try:  # of an NNX class, its metaclass takes anything
        takes = inspect.signature(model.__init__ if isinstance(model, type) else model).parameters
    except ValueError:
        return model
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in takes.values() if p.default is p.empty and p.kind not in several]
    needed = [name for name in needed if name != "self"]
    if needed not in ([], ["rngs"]):
        return model
    if "rngs" not in takes:
        return model()
    return model(rngs=nnx.Rngs(jax.random.key(0) if key is None else key))


def _taken(function: Callable, **options: Any) -> dict[str, Any]:
    """Those of the options that a function takes."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return options
    return {name: value for name, value in options.items() if name in parameters}


def _state_mask(model: Params) -> Params:
    """Which leaves are state: those of no collection but the parameters."""
    return {
        name: jax.tree.map(lambda _, name=name: name != "params", part)
        for name, part in model.items()
    }
