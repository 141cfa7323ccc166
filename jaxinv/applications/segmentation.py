"""Few-shot segmentation: a small net tells regions by a generator's features.

Sources: Tritrong et al. 2021, RepurposeGAN, arXiv:2103.04379 (a net of dilated convolutions, one to
ten masks), and Zhang et al. 2021, DatasetGAN, arXiv:2104.06490 (several nets of single pixels,
whose disagreement says how far to trust a mask).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.training import Training, fit, mlp, mlp_init
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.nn.linear import leaky_relu
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.specs.checks import check_array, check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Latents, Params

DILATIONS, WIDTHS = (1, 2, 1, 2, 1), (128, 64, 64, 32)  # of RepurposeGAN's net
PIXEL_WIDTHS = (128, 32)  # of DatasetGAN's nets
DECAY = 1e-3  # weight of the squared weights
PIXELS = 1024  # of a step, where nets see single ones
USUAL = Training(300, 1e-3, label="learning regions")


class Segmenter(NamedTuple):
    """What tells regions of a generator's pictures.

    Attributes:
        nets: parameters, with a leading axis of several nets.
        kind: "conv" (RepurposeGAN) or "pixel" (DatasetGAN).
        steps: those of the generator whose features are seen.
        mean, std: [c], of these features, over the pictures that it has learned from.
        classes: how many regions it tells.
        size: side in px of the maps.
    """

    nets: Params
    kind: str
    steps: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    classes: int
    size: int


class Segmented(NamedTuple):
    """Regions of B pictures.

    labels: [B, S, S], numbers of regions.
    probabilities: [B, S, S, classes].
    uncertainty: [B, S, S] in [0, log classes], the Jensen-Shannon divergence of the nets: 0 where
        they agree, and of a single net (DatasetGAN, section 3.2).
    """

    labels: np.ndarray
    probabilities: np.ndarray
    uncertainty: np.ndarray


def hypercolumns(
    gen: Generator, params: Params, latents: Latents, steps: tuple[str, ...], size: int
) -> Array:
    """Features [size, size, c] of all `steps` of ONE sample, each reduced or enlarged to `size`."""
    found = gen.features(params, latents)

    def at_size(x: Array) -> Array:
        seen = x if x.shape[0] <= size else area_reduce(x, size)
        return seen if seen.shape[0] == size else resize(seen, size)

    return jnp.concatenate([at_size(found[step]["x"]) for step in steps], axis=-1)


def learn_segmenter(
    gen: Generator,
    params: Params,
    latents: Latents,
    masks: np.ndarray,
    *,
    kind: str = "conv",
    nets: int = 1,
    size: int | None = None,
    steps: tuple[str, ...] | None = None,
    training: Training = USUAL,
) -> Segmenter:
    """A segmenter of a generator's pictures, from a few of them with masks.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: of K pictures, [K, ...].
        masks: [K, n, n], the number of a region at every pixel; n is a multiple of the size of the
            maps or a divisor of it.
        kind: "conv", which sees neighbours, or "pixel".
        nets: how many nets learn, each from another start; of several, `segment` tells where they
            disagree.
        size: side of the maps in px (that of the pictures, at most 128).
        steps: of the generator, whose features are seen (all).
        training: steps of the search, its rate and seed.

    Raises:
        ValueError: latents and masks that do not fit, one region only, unknown kinds and steps.
    """
    check_generator(gen, params)
    check_choice("kind of segmenter", kind, tuple(KINDS))
    check_whole("nets", nets, 1)
    latents, count = check_latents(gen, params, latents, "latents")
    chosen = gen.steps if steps is None else steps
    for step in chosen:
        check_choice(f"step of generator {gen.spec.name!r}", step, gen.steps)
    side = min(gen.spec.resolution, 128) if size is None else size
    check_whole("size", side, 4)
    labels, classes = _checked_masks(masks, count, side)
    seen = np.stack([_see(gen, tuple(chosen), side, params, one) for one in samples_of(latents)])
    mean, std = seen.mean((0, 1, 2)), seen.std((0, 1, 2)) + 1e-6
    init = KINDS[kind][0]
    keys = jax.random.split(jax.random.key(training.seed), nets)
    start = jax.vmap(lambda key: init(key, seen.shape[-1], classes))(keys)
    data = {"seen": jnp.asarray((seen - mean) / std), "labels": jnp.asarray(labels)}
    loss = partial(_cross_entropy, kind)
    found = fit(loss, start, data, training)
    return Segmenter(found.params, kind, tuple(chosen), mean, std, classes, side)


def segment(gen: Generator, params: Params, segmenter: Segmenter, latents: Latents) -> Segmented:
    """Regions of pictures [B, ...] of the generator, also of photographs that were inverted.

    Raises `ValueError` for latents of another generator.
    """
    latents, _ = check_latents(gen, params, latents, "latents")
    told = [np.asarray(_tell(gen, segmenter, params, one)) for one in samples_of(latents)]
    each = np.stack(told)  # [B, nets, S, S, classes]
    mean = each.mean(1)
    divergence = _entropy(mean) - _entropy(each).mean(1)
    return Segmented(mean.argmax(-1), mean, np.maximum(divergence, 0))


def _tell(gen: Generator, made: Segmenter, params: Params, latents: Latents) -> Array:
    """What each net says of the regions of ONE sample, [nets, S, S, classes]."""
    seen = _see(gen, made.steps, made.size, params, latents)
    return _apply(made.kind, made.nets, (seen - made.mean) / made.std)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _see(
    gen: Generator, steps: tuple[str, ...], size: int, params: Params, latents: Latents
) -> Array:
    return hypercolumns(gen, params, latents, steps, size)


@partial(jax.jit, static_argnums=0)
def _apply(kind: str, nets: Params, seen: Array) -> Array:
    return jax.nn.softmax(jax.vmap(lambda net: KINDS[kind][1](net, seen[None])[0])(nets))


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -np.sum(probabilities * np.log(np.maximum(probabilities, 1e-12)), axis=-1)


def _checked_masks(masks: np.ndarray, count: int, side: int) -> tuple[np.ndarray, int]:
    """Masks [K, side, side] and the number of regions."""
    given = check_array("masks", masks, "iu", ", numbers of regions")
    if given.ndim != 3 or given.shape[1] != given.shape[2] or len(given) != count:
        raise ValueError(f"masks have shape {given.shape}; allowed: [{count}, n, n]")
    own = given.shape[1]
    if max(own, side) % min(own, side):
        raise ValueError(f"masks of {own} px for maps of {side} px; allowed: a multiple or a part")
    labels = given.astype(np.int32)
    if labels.min() < 0 or not labels.max():
        raise ValueError(
            f"masks hold {labels.min()} to {labels.max()}; allowed: numbers of two or more regions"
        )
    rows = (np.arange(side) * own) // side + (own // side) // 2
    return labels[:, rows][:, :, rows], int(labels.max()) + 1


def _cross_entropy(kind: str, nets: Params, data: Params, key: Key) -> Array:
    """The mean over nets, of one picture whole or of a draw of pixels of all."""
    seen, labels = data["seen"], data["labels"]

    def one(net: Params, key: Key) -> Array:
        if kind == "pixel":
            flat, told = seen.reshape(-1, seen.shape[-1]), labels.ravel()
            few = jax.random.randint(key, (min(PIXELS, len(told)),), 0, len(told))
            given, true = flat[few], told[few]
        else:
            number = jax.random.randint(key, (1,), 0, len(seen))
            given, true = seen[number], labels[number]
        logs = jax.nn.log_softmax(KINDS[kind][1](net, given))
        return -jnp.mean(jnp.take_along_axis(logs, true[..., None], axis=-1))

    keys = jax.random.split(key, len(jax.tree.leaves(nets)[0]))
    size = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(nets))
    return jnp.mean(jax.vmap(one)(nets, keys)) + DECAY * size / 2 / len(keys)


def _conv_init(key: Key, channels: int, classes: int) -> Params:
    widths = (channels, *WIDTHS, classes)
    keys = jax.random.split(key, len(DILATIONS))
    return {
        f"conv{i}": {
            "kernel": jax.random.normal(keys[i], (3, 3, a, b)) * (2 / (9 * a)) ** 0.5,
            "bias": jnp.zeros(b),
        }
        for i, (a, b) in enumerate(pairwise(widths))
    }


def _conv_apply(net: Params, x: Array) -> Array:
    """Features [n, h, w, c] to logits [n, h, w, classes]."""
    for index, dilation in enumerate(DILATIONS):
        layer = net[f"conv{index}"]
        x = jax.lax.conv_general_dilated(
            x,
            layer["kernel"],
            (1, 1),
            "SAME",
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = x + layer["bias"]
        x = leaky_relu(x) if index < len(DILATIONS) - 1 else x
    return x


def _pixel_init(key: Key, channels: int, classes: int) -> Params:
    return mlp_init(key, (channels, *PIXEL_WIDTHS, classes))


KINDS: dict[str, tuple[Callable[..., Params], Callable[..., Array]]] = {
    "conv": (_conv_init, _conv_apply),
    "pixel": (_pixel_init, mlp),
}
