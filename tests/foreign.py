"""Arrays of a small StyleGAN2 under the names of every code that writes one, for the tests."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxinv.models.generators.base import Generator
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Params
from tests.tiny import STYLE, mobile
from weights_convert.networks import stylegan2

NAMINGS = {
    "nvlabs": stylegan2.NVLABS,
    "rosinality": stylegan2.ROSINALITY,
    "genforce": stylegan2.GENFORCE,
    "tensorflow": stylegan2.TENSORFLOW,
}
PLAIN = replace(STYLE, facts=(("mapping_layers", 3),))
NARROW = replace(STYLE, facts=(("mapping_layers", 3), ("mapping_widths", (5, 11))))


def network(spec: GeneratorSpec = PLAIN) -> tuple[Generator, Params]:
    """A random generator, as a converted one is: with an average, without what loading adds."""
    gen, params = mobile(spec)
    average = np.arange(spec.w_dim, dtype=np.float32)
    return gen, {
        "mapping": {**params["mapping"], "average": average},
        "synthesis": params["synthesis"],
    }


def arrays_of(source: str = "nvlabs", spec: GeneratorSpec = PLAIN) -> dict[str, np.ndarray]:
    return stylegan2.export(network(spec)[1], spec, NAMINGS[source])


def same(ours: Any, theirs: Any, rtol: float = 1e-6, atol: float = 0.0) -> None:
    """Check that two trees of arrays have the same parts, equal within the tolerances."""
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), ours, theirs)
