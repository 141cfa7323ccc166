"""StyleCLIP: global directions in S, and the latent mapper (Patashnik et al. 2021).

arXiv:2103.17249. Any joint embedding of pictures and texts serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.boundaries import unit
from jaxinv.nn.linear import SQRT2, leaky_relu
from jaxinv.specs.checks import check_array, check_at_least

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Key

LEVELS = ((0, 4), (4, 8), (8, 18))  # rows of the coarse, medium and fine nets
LEVEL_NAMES = ("course_mapping", "medium_mapping", "fine_mapping")  # as published
STEP = 0.1
LAYERS = 4
RATE = 0.01  # the learning-rate multiplier that is part of every layer


def text_direction(target: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """The unit difference [e] of two texts, each embedded in several sentences [n, e].

    Every sentence and the mean of a text's sentences are of unit length. Section 6.1.
    """
    return unit(_centre(target) - _centre(neutral))


def _centre(sentences: np.ndarray) -> np.ndarray:
    return unit(unit(check_array("sentences", sentences)).mean(0))


def channel_effects(embeddings: np.ndarray) -> np.ndarray:
    """How each channel moves a picture's embedding: unit rows [C, e].

    From embeddings [C, images, 2, e] of pictures with the channel lowered and raised. Section 6.2.
    Raises `ValueError` for another shape.
    """
    found = check_array("embeddings", embeddings)
    if found.ndim != 4 or found.shape[2] != 2:
        raise ValueError(f"embeddings {list(found.shape)}; allowed: [channels, images, 2, e]")
    low, high = np.moveaxis(unit(found), 2, 0)
    moved = high - low
    length = np.linalg.norm(moved, axis=-1, keepdims=True)
    mean = (moved / np.maximum(length, 1e-30)).mean(1)  # a channel without effect keeps 0
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-30)


def global_direction(relevance: np.ndarray, deviations: np.ndarray, threshold: float) -> np.ndarray:
    """The direction [C] in S of channels whose relevance [C] is at least `threshold` (β).

    The largest moves by one of its standard deviations, the others in proportion. `relevance` is
    `channel_effects(...) @ text_direction(...)`. Section 6.3. Raises `ValueError` where no channel
    is relevant enough, and for shapes that do not fit.
    """
    given, spread = check_array("relevance", relevance), check_array("deviations", deviations)
    check_at_least("threshold", threshold, 0)
    if given.ndim != 1 or given.shape != spread.shape:
        raise ValueError(
            f"relevance {list(given.shape)}, deviations {list(spread.shape)}; allowed: both [C]"
        )
    kept = np.where(np.abs(given) < threshold, 0.0, given.astype(np.float64))
    largest = np.abs(kept).max(initial=0)
    if largest == 0:
        raise ValueError(
            f"threshold {threshold} keeps no channel; allowed: at most {np.abs(given).max():.4g}"
        )
    return kept / largest * spread


def spread_channels(
    values: np.ndarray, styles: Sequence[int], measured: Sequence[int]
) -> np.ndarray:
    """Values of the channels of `measured` layers as values [C] of all, 0 in the others.

    `styles` are the channels of every layer, as in a `GeneratorSpec`.
    """
    wanted = sum(styles[layer] for layer in measured)
    values = check_array("values", values)
    if values.shape != (wanted,):
        raise ValueError(
            f"values {list(values.shape)}; allowed: [{wanted}], of the layers measured"
        )
    starts = np.cumsum([0, *styles])
    found, place = np.zeros(starts[-1]), 0
    for layer in measured:
        found[starts[layer] : starts[layer + 1]] = values[place : place + styles[layer]]
        place += styles[layer]
    return found


def layer_and_channel(
    number: int, styles: Sequence[int], layers: Sequence[int] | None = None
) -> tuple[int, int]:
    """The layer, and the channel in it, of a channel counted through `layers` (all if left out).

    Raises `ValueError` for a number beyond the last.
    """
    chosen = range(len(styles)) if layers is None else layers
    rest = number
    for layer in chosen:
        if 0 <= rest < styles[layer]:
            return layer, rest
        rest -= styles[layer]
    raise ValueError(f"channel {number}; allowed: 0 to {sum(styles[i] for i in chosen) - 1}")


def without_torgb(styles: Sequence[int]) -> tuple[int, ...]:
    """Layers of a StyleGAN2's S that are not those of its image layers: 0, 2, 3, 5, 6 ..."""
    return tuple(layer for layer in range(len(styles)) if layer % 3 != 1)


def mapper_init(key: Key, spec: GeneratorSpec) -> dict[str, Array]:
    """Weights of the nets of `mapped` before training, drawn as the published ones were.

    There is one for each of `LEVELS` that the generator of `spec` has rows for.
    """
    found: dict[str, Array] = {}
    for level, (name, (first, _)) in enumerate(zip(LEVEL_NAMES, LEVELS, strict=True)):
        for layer in range(1, LAYERS + 1 if first < spec.rows else 1):
            drawn = jax.random.fold_in(key, level * LAYERS + layer)
            shape = (spec.w_dim, spec.w_dim)
            found[f"{name}.mapping.{layer}.weight"] = jax.random.normal(drawn, shape) / RATE
            found[f"{name}.mapping.{layer}.bias"] = jnp.zeros(spec.w_dim)
    return found


def mapper_width(weights: Mapping[str, Any]) -> int:
    """How long a w is that a mapper of w+ moves; `ValueError` for weights that are none."""
    names = ("mapping",) if "mapping.mapping.1.weight" in weights else LEVEL_NAMES
    widths, used = set[int](), set[str]()
    for name in names:
        layer = 1
        while (kernel := f"{name}.mapping.{layer}.weight") in weights:
            bias = f"{name}.mapping.{layer}.bias"
            widths |= {*np.shape(weights[kernel]), *np.shape(weights[bias])}
            used |= {kernel, bias}
            layer += 1
    if len(widths) != 1 or used != set(weights):
        raise ValueError(f"widths {sorted(widths)}, {len(weights)} arrays; allowed: square layers")
    return widths.pop()


def level_changes(weights: Mapping[str, Any], w: Array, name: str, axis: int = 1) -> Array:
    """What one net of a mapper adds to w [n, rows, 512], or to a style [n, C].

    `weights` are named as in the published files: NAME.mapping.1.weight [out, in] and so on. Codes
    are divided by the root mean square over `axis`: 1, which for w is that of the rows, in the
    published nets; 2 for w is what the paper says, over the numbers of each row.
    """
    x = w / jnp.sqrt(jnp.mean(w**2, axis=axis, keepdims=True) + 1e-8)
    layer = 1
    while f"{name}.mapping.{layer}.weight" in weights:
        kernel = jnp.asarray(weights[f"{name}.mapping.{layer}.weight"])
        bias = jnp.asarray(weights[f"{name}.mapping.{layer}.bias"])
        scale = RATE / np.sqrt(kernel.shape[1])
        x = SQRT2 * leaky_relu(x @ (kernel.T * scale) + bias * RATE)
        layer += 1
    if layer == 1:
        raise ValueError(f"no weights of the mapper {name!r}; there are {', '.join(weights):.120}")
    return x


def mapped(weights: Mapping[str, Any], w: Array, *, axis: int = 1) -> Array:
    """What a mapper adds to w+ [n, rows, 512], before the step of `STEP`; section 5.

    Three nets for the rows of `LEVELS`, of which absent ones add nothing, or one ("mapping") for
    all rows. `axis` is that of `level_changes`.
    """
    if "mapping.mapping.1.weight" in weights:
        return level_changes(weights, w, "mapping", axis)
    held = [f"{name}.mapping.1.weight" in weights for name in LEVEL_NAMES]
    if not any(held):
        raise ValueError(f"no mapper in {', '.join(weights):.120}; allowed: {LEVEL_NAMES}, mapping")
    parts = [w[:, :4], w[:, 4:8], w[:, 8:]]
    changed = [
        level_changes(weights, part, name, axis) if there and part.size else jnp.zeros_like(part)
        for part, name, there in zip(parts, LEVEL_NAMES, held, strict=True)
    ]
    return jnp.concatenate(changed, axis=1)
