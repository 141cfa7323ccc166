"""What one encoder makes of a batch of a run, in the form of what a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxinv.encoders.encoding import chain, check_given, encode_batches
from jaxinv.encoders.starts import sees_masks
from jaxinv.inversion.result import Inversion
from jaxinv.specs import InitSpec, Preset, Stage, Term, Variable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.encoders.encoding import Drawing, Loaded
    from jaxinv.runs.observations import Observation
    from jaxinv.specs.encoders import EncoderSpec

VERB = "encode"


def encode_preset(spec: EncoderSpec) -> Preset:
    """What stands for the method in the manifest: the encoder's code, looked at once."""
    return Preset(
        name=VERB,
        stages=(Stage((Variable(spec.output, init=InitSpec("given")),), (Term("mse"),), 1),),
        summary=f"one look of encoder {spec.name!r}: no search",
        reference="an encoder",
    )


def encoded(
    encoder: Loaded,
    generator: Drawing,
    given: Sequence[Observation],
    preset: Preset,
    *,
    attribute: float | None = None,
    passes: int | None = None,
) -> Inversion:
    """Latents of what was seen, without a search; "evaluations" are looks, and there is no loss."""
    spec, count = encoder[0].spec, len(given)
    pictures = np.stack([seen.measurement for seen in given])
    masks = None
    if sees_masks(encoder):
        masks = np.stack([_known(seen) for seen in given])
    also = check_given(spec, count, masks, attribute, passes)
    latents = encode_batches(encoder, generator, pictures, also)
    looks = sum(one.passes for one in chain(spec))
    looks += (passes or spec.passes) - spec.passes
    leaves = jax.tree.leaves(latents)
    finite = [all(np.isfinite(leaf[row]).all() for leaf in leaves) for row in range(count)]
    return Inversion(
        latents=latents,
        losses=np.zeros((count, 1, 0), np.float32),
        best=np.zeros(count, int),
        loss=np.full(count, np.nan),
        status=tuple("ok" if fine else "diverged" for fine in finite),
        evaluations=np.full(count, looks),
        preset=preset,
    )


def _known(seen: Observation) -> np.ndarray:
    side = seen.measurement.shape[:2]
    return np.ones(side, np.float32) if seen.mask is None else seen.mask
