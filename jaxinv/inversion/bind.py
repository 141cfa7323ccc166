"""`bind`: a preset, a generator and images become one checked problem, before any compile."""

# jax annotates its arguments only in part (here: tree.map, stack).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxinv.encoders.cycle import as_net
from jaxinv.encoders.starts import empty_codes, find_start
from jaxinv.inversion.arguments import (
    AUTO,
    batch_for,
    check_images,
    check_init,
    check_labels,
    check_masks,
    check_named_images,
    check_named_vectors,
    loss_side,
    read_pixels,
    upsampled,
    upsampled_masks,
    with_given_starts,
)
from jaxinv.inversion.compatibility import (
    check_measured,
    check_preset,
    check_vectors,
    check_weights,
)
from jaxinv.inversion.masks import check_named_masks, known_masks
from jaxinv.inversion.preset_adaptation import with_cutoffs
from jaxinv.inversion.presets import find_preset, with_steps
from jaxinv.inversion.problem import NetworkParams
from jaxinv.inversion.restarts import Batch, class_by_restart, lanes_given, make_lanes
from jaxinv.inversion.statistics import with_statistics
from jaxinv.models.arguments import check_generator, check_latents, check_nets
from jaxinv.models.loading import load_features
from jaxinv.nn.mixed_precision import cast_params
from jaxinv.specs.checks import check_choice, check_whole
from jaxinv.specs.vocabulary import ENCODER, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.encoders.encoding import Loaded
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Latents, Params


class BoundProblem(NamedTuple):
    """A preset, a generator and B images, checked: what `invert` runs.

    Attributes:
        gen: the generator.
        weights: its parameters with the statistics that the preset needs, and those of the feature
            networks.
        preset: with the number of steps that was asked for.
        images: [B, ...], float32.
        masks: [B, S, S] or None: weights of the pixels.
        given: latents [B, ...] that the caller starts with, classes among them.
        size: side in px at which clean images are compared.
        restarts: starts per image.
        batch: images that go together, or "auto".
        named_masks: [B, S, S] by name: those that do not depend on what a stage draws.
        named_images: [B, S, S, 3] by name: what terms compare with beside the images.
        named_vectors: [B, n] by name: likewise, in the place of what nets see of such pictures.
        encoder: what gives the codes that the first stage sets out from, if one does.
    """

    gen: Generator
    weights: NetworkParams
    preset: Preset
    images: np.ndarray
    masks: np.ndarray | None
    given: Latents
    size: int
    restarts: int
    batch: int | str
    named_masks: dict[str, np.ndarray]
    named_images: dict[str, np.ndarray]
    named_vectors: dict[str, np.ndarray]
    encoder: Loaded | None = None

    def lanes(self, rows: np.ndarray, num_images: int, seed: int) -> Batch:
        """The searches of the images `rows`, one *lane* for each restart of each.

        Only the first `num_images` are wanted; the rest fill the batch up.
        """
        pictures, masks = self.images[rows], None if self.masks is None else self.masks[rows]
        if self.preset.operator is None:
            pictures, masks = upsampled(pictures, masks, self.size)
        named = {
            name: np.asarray(upsampled_masks(mask[rows], self.size)[..., None], np.float32)
            for name, mask in self.named_masks.items()
        }
        made = make_lanes(
            pictures, masks, seed, self.restarts, num_images=num_images, size=self.size
        )
        beside = {
            name: upsampled(pictures[rows], None, self.size)[0]
            for name, pictures in self.named_images.items()
        }
        own = np.arange(len(rows))
        return made._replace(
            given=class_by_restart(lanes_given(self.given, rows, self.restarts), made.restarts),
            named_masks=lanes_given(named, own, self.restarts),
            named_images=lanes_given(beside, own, self.restarts),
            named_vectors=lanes_given(self.named_vectors, rows, self.restarts),
        )


def bind(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    preset: Preset | str,
    *,
    nets: dict[str, Params] | None = None,
    masks: np.ndarray | None = None,
    named_masks: dict[str, np.ndarray] | None = None,
    named_images: dict[str, np.ndarray] | None = None,
    named_vectors: dict[str, np.ndarray] | None = None,
    labels: Sequence[int | Sequence[int]] | None = None,
    starts: Latents | None = None,
    init: Loaded | str | None = None,
    restarts: int | None = None,
    steps: int | None = None,
    batch: int | str | None = None,
    precision: str = "float32",
) -> BoundProblem:
    """Check a preset against a generator and images, without searching yet.

    It takes the arguments of `invert`. Statistics that the preset needs of the generator are
    measured here, once everything has been checked. Raises `ValueError` as `check_problem` does.
    """
    check_choice("precision", precision, PRECISIONS)
    bound = check_problem(
        gen,
        params,
        images,
        preset,
        nets=nets,
        masks=masks,
        named_masks=named_masks,
        named_images=named_images,
        named_vectors=named_vectors,
        labels=labels,
        starts=starts,
        init=init,
        restarts=restarts,
        steps=steps,
        batch=batch,
    )
    named = known_masks(bound.preset, bound.named_masks, bound.images)
    own = bound.weights
    known = with_statistics(gen, own.params, bound.preset, own.nets)
    network = NetworkParams(cast_params(known, precision), cast_params(own.nets, precision))
    return bound._replace(weights=network, named_masks=named)


def check_problem(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    preset: Preset | str,
    *,
    nets: dict[str, Params] | None = None,
    masks: np.ndarray | None = None,
    named_masks: dict[str, np.ndarray] | None = None,
    named_images: dict[str, np.ndarray] | None = None,
    named_vectors: dict[str, np.ndarray] | None = None,
    labels: Sequence[int | Sequence[int]] | None = None,
    starts: Latents | None = None,
    init: Loaded | str | None = None,
    restarts: int | None = None,
    steps: int | None = None,
    batch: int | str | None = None,
) -> BoundProblem:
    """The problem of the arguments of `invert`, before any statistic or mask of it is computed.

    Raises `ValueError` for a generator and parameters of another, for images, masks, labels, starts
    or counts that cannot be used, and for a preset that the generator, the images or the weights do
    not suit.
    """
    check_generator(gen, params)
    preset = with_steps(find_preset(preset), steps)
    images = read_pixels(images, preset.operator)
    size = check_images(gen, images, preset.operator)
    images = images.astype(np.float32)
    images = images[:, :, None, None] if images.ndim == 2 else images
    weights = check_masks(masks, images.shape[:3])
    named = check_named_masks(preset, named_masks, images.shape[:3])
    vectors = check_named_vectors(preset, named_vectors, len(images))
    beside = check_named_images(preset, named_images, images.shape, vectors)
    seen = images.shape[1:]
    preset = with_cutoffs(preset, min(seen[:2]) if len(seen) == 3 and seen[1] > 1 else size)
    if preset.operator is None:
        size = loss_side(gen, preset, size)
        seen = (size, size, 3)
    automatic = isinstance(batch, str)
    if automatic and batch != AUTO:
        raise ValueError(f"unknown batch {batch!r}; allowed: a whole number, {AUTO}")
    if batch is None or (automatic and preset.shared):
        batch = batch_for(preset, len(images))
    restarts = preset.restarts if restarts is None else restarts
    for name, value in (("batch", 1 if automatic else batch), ("restarts", restarts)):
        check_whole(name, value, 1)
    check_preset(gen.spec, preset, min(seen[:2]))
    check_measured(gen, preset, seen, size)
    if nets is not None:
        check_nets(nets, preset.nets)
    classes = check_labels(gen.spec, preset, labels, len(images))
    if starts is not None:
        starts = check_latents(gen, params, starts, "starts")[0]
    encoder = None
    if init is not None:
        encoder = find_start(init, (gen, params))
        check_init(preset, encoder[0].spec, starts)
        codes = empty_codes(encoder, len(images))
        preset = with_given_starts(preset, codes, len(images))
        if ENCODER in preset.nets:  # terms look with the encoder that the search sets out from
            nets = {ENCODER: as_net(*encoder, gen, params), **(nets or {})}
    else:
        preset = with_given_starts(preset, starts, len(images))
    if classes is not None and classes.ndim == 3:
        restarts = max(restarts, classes.shape[1])
    given: Latents = dict(starts or {}) | ({} if classes is None else {"label": classes})
    if nets is None or (nets and all(map(callable, nets.values()))):  # given, never loaded
        wanted = tuple(name for name in preset.nets if name not in (nets or {}))
        nets = {**load_features(wanted), **(nets or {})}
    check_weights(gen, preset, params, nets)
    check_vectors(preset, nets, vectors)
    network = NetworkParams(params, nets)
    held = (images, weights, given, size, restarts, batch, named, beside, vectors, encoder)
    return BoundProblem(gen, network, preset, *held)
