"""An encoder as a net that terms look with: the encoder's cycle, in searches and in training."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax

from jaxinv.encoders.planes import Sample
from jaxinv.encoders.rollouts import Weights, encode
from jaxinv.specs.vocabulary import OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.base import Encoder
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Params


def as_net(encoder: Encoder, params: Params, gen: Generator, generator: Params) -> Any:
    """The encoder for `nets={"encoder": ...}` of `invert`, by which "encoder_cycle" looks.

    A function of one image [h, w, 3] in [-1, 1] with its arrays: {"output": the code}, and the same
    by its space, where variables with the start "encoder" begin. A mask it may see is all ones.
    Zhu et al. 2020, IDInvert, equation 5; Chai et al. 2021, Ensembling with Deep Generative Views,
    section 3.1.
    """
    return jax.tree_util.Partial(_seer(encoder, gen), Weights(params, generator))


@lru_cache
def _seer(encoder: Encoder, gen: Generator) -> Callable[[Weights, Array], dict[str, Any]]:
    """One function for each pair, so that programs are shared."""

    def see(weights: Weights, image: Array) -> dict[str, Any]:
        mask = jax.numpy.ones(image.shape[:2]) if "mask" in encoder.spec.planes else None
        found = encode(encoder, gen, weights, Sample(image=image, mask=mask))
        code = found[encoder.spec.output]
        return {OUTPUT: code, encoder.spec.output: code}

    return see
