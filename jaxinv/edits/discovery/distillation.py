"""A small net that edits pictures without a generator (Viazovetskyi et al. 2020).

StyleGAN2 Distillation, arXiv:2003.03581: pairs are drawn from a code and its edit; a net learns to
make the second of the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.training import USUAL, Fitted, Training, convolve, fit
from jaxinv.nn.linear import leaky_relu
from jaxinv.specs.checks import check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params, Tree

KERNEL = 5


def student_init(key: Key, width: int = 24, layers: int = 4) -> Params:
    """Parameters of `student`: `layers` convolutions of `width` channels."""
    check_whole("layers", layers, 2)
    check_whole("width", width, 1)
    # Two more channels say where a pixel lies; the last layer starts at no change.
    widths = (5, *(width,) * (layers - 1), 3)
    keys = jax.random.split(key, layers)
    params: Params = {}
    for i, (own, inside, outside) in enumerate(zip(keys, widths[:-1], widths[1:], strict=True)):
        scale = (2 / (KERNEL**2 * inside)) ** 0.5 if i < layers - 1 else 0.0
        shape = (outside, inside, KERNEL, KERNEL)
        params[f"conv{i}"] = {
            "kernel": scale * jax.random.normal(own, shape),
            "bias": jnp.zeros(outside),
        }
    return params


def student_layers(params: Params) -> int:
    """The number of layers; `ValueError` for parameters that are none of `student`."""
    widths = [5]
    for index in range(len(params)):
        layer: Any = params.get(f"conv{index}", {})
        names = sorted(layer) if isinstance(layer, dict) else []
        shapes = [list(np.shape(layer[name])) for name in names]
        outside = shapes[0][0] if shapes and shapes[0] else 0
        wanted = [[outside], [outside, widths[-1], KERNEL, KERNEL]]
        if names != ["bias", "kernel"] or shapes != wanted:
            raise ValueError(f"layer {index} of a student has {names} {shapes}; allowed: {wanted}")
        widths.append(outside)
    if len(widths) < 3 or widths[-1] != 3:
        raise ValueError(f"a student of widths {widths}; allowed: from 5 to 3, two layers or more")
    return len(params)


def student(params: Params, images: Array) -> Array:
    """Images [n, h, w, 3] in [-1, 1] -> the edited ones: what convolutions make, added."""
    count, height, width, _ = images.shape
    rows, columns = jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width)
    place = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), -1)
    x = jnp.concatenate([images, jnp.broadcast_to(place, (count, height, width, 2))], -1)
    for index in range(len(params)):
        layer = params[f"conv{index}"]
        x = convolve(x, layer["kernel"], 1, KERNEL // 2) + layer["bias"]
        x = leaky_relu(x) if index < len(params) - 1 else x
    return images + x


def distil(
    draw: Callable[[Tree, Array], Array],
    data: Tree,
    sample: Callable[[Tree, Key, int], Array],
    move: Callable[[Array], Array],
    training: Training = USUAL,
    *,
    batch: int = 8,
    keep: Callable[[Array, Array], Array] | None = None,
) -> Fitted:
    """A `student` of an edit: from pictures of codes [n, d] to those of `move`(codes).

    `keep`: (before, after) -> weights [n] of pairs, 0 for those in which the edit failed, as the
    paper filters them. The loss is the mean magnitude of differences. Section 3; their student is a
    pix2pixHD, this one a few convolutions.
    """
    check_whole("batch", batch, 1)

    def loss(params: Params, data: Tree, key: Key) -> Array:
        codes = sample(data, key, batch)
        before, after = draw(data, codes), draw(data, move(codes))
        share = jnp.ones(batch) if keep is None else keep(before, after)
        gaps = jnp.abs(student(params, before) - after).mean((1, 2, 3))
        return (share * gaps).sum() / jnp.maximum(share.sum(), 1e-6)

    return fit(loss, student_init(jax.random.key(training.seed)), data, training)
