"""Generators that are chains of dense layers, inverted without a gradient, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import jax.numpy as jnp
import numpy as np

from jaxinv.solvers.layerwise import DEFAULTS, Layer, Options, Recovered, invert_layers

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import InitSpec
    from jaxinv.types import Array, Params

# Of an activation behind a dense layer: its slope below 0 (None: the layer's own), and what bounds
# it.
ACTIVATIONS: dict[str, tuple[float | None, str]] = {
    "none": (1.0, "none"),
    "relu": (0.0, "none"),
    "leaky_relu": (None, "none"),
    "tanh": (1.0, "tanh"),
    "sigmoid": (1.0, "sigmoid"),
}


def plan_of(gen: Generator) -> Any:
    """The layers' facts of a generator that is a chain of dense ones.

    Raises `ValueError` for any other generator, naming what it is.
    """
    plan: Any = dict(gen.spec.facts).get("layers") if gen.spec.architecture == "dcgan" else None
    if plan is None:
        raise ValueError(
            f"generator {gen.spec.name!r} is a {gen.spec.architecture}; "
            f"allowed: dcgan, a chain of dense layers"
        )
    if gen.spec.labels:
        raise ValueError(
            f"generator {gen.spec.name!r} has {gen.spec.labels} classes beside z; allowed: none"
        )
    kinds = [fields[0] for fields in plan]
    if set(kinds) != {"dense"}:
        raise ValueError(
            f"generator {gen.spec.name!r} is a chain of {', '.join(kinds)}; allowed: dense alone"
        )
    return plan


def dense_layers(gen: Generator, params: Params) -> list[Layer]:
    """The layers of a generator that is a chain of dense ones, in float64.

    Their last outputs are the pixels [r, r, channels] in reading order, in [-1, 1], or in [0, 1]
    where the last activation is a sigmoid. Raises `ValueError` as `plan_of` does.
    """
    plan = plan_of(gen)
    layers: list[Layer] = []
    for number, fields in enumerate(plan):
        slope, squash = ACTIVATIONS[fields[2]]
        if squash != "none" and number < len(plan) - 1:
            raise ValueError(
                f"generator {gen.spec.name!r} has {fields[2]} behind layer {number}; "
                f"allowed before the last: none, relu, leaky_relu"
            )
        tree = params["synthesis"][f"layer{number}"]
        matrix, bias = (np.asarray(tree[name], np.float64) for name in ("kernel", "bias"))
        given = (fields[7] if len(fields) > 7 else 0.2) if slope is None else slope
        layers.append(Layer(matrix.T, bias, given, squash))
    return layers


def invert_dense(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    method: str = "lp",
    *,
    seen: np.ndarray | None = None,
    options: Options = DEFAULTS,
) -> Recovered:
    """Codes z [n, z_dim] of images [n, r, r, 3] in [-1, 1]; see `solvers.layerwise.invert_layers`.

    `seen` [r, r]: where images are known, everywhere by default. Grey generators are given the mean
    of the three channels. Raises `ValueError` for a generator that is no chain of dense layers, and
    for images of another size.
    """
    layers, side = dense_layers(gen, params), gen.spec.resolution
    if images.shape[1:] != (side, side, 3):
        raise ValueError(f"images {images.shape}; allowed: (n, {side}, {side}, 3)")
    channels = len(layers[-1].bias) // side**2
    values = np.asarray(images, np.float64)
    values = values if channels == 3 else values.mean(-1, keepdims=True)
    if layers[-1].squash == "sigmoid":
        values = (values + 1) / 2
    rows = None
    if seen is not None:
        if np.shape(seen) != (side, side):
            raise ValueError(f"seen {np.shape(seen)}; allowed: ({side}, {side})")
        rows = np.flatnonzero(np.repeat(np.asarray(seen, bool).ravel(), channels))
    flat = values.reshape(len(values), -1)
    given = flat if rows is None else flat[:, rows]
    return invert_layers(layers, given, method, rows, options)


def layerwise_codes(
    gen: Generator, params: Params, init: InitSpec, images: tuple[Array, Array | None]
) -> Array:
    """z [L, z_dim] of every (image [L, h, w, 3], mask [L, h, w, 1]) by the method of `init`.

    NaN where a layer has no solution.
    """
    pixels, masks = images
    options = Options(**dict(cast("Any", init.options)))
    codes: list[np.ndarray] = []
    for number, image in enumerate(np.asarray(pixels)):
        seen = None if masks is None else np.asarray(masks)[number, ..., 0] > 0
        found = invert_dense(gen, params, image[None], init.method, seen=seen, options=options)
        codes.append(found.codes[0])
    return jnp.asarray(np.stack(codes), jnp.float32)
