"""Generators and pictures that claims are measured on; all that is real lies in JAXINV_SHARED."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.files import find_images
from jaxinv.io.images import read_images
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.loading import build, load_generator
from jaxinv.models.rendering import render
from jaxinv.specs import GeneratorSpec
from tests.tiny import Pair
from tests.weights import SHARED

WEIGHTS, FACES = SHARED / "data" / "weights", SHARED / "data" / "faces"
FILES = {
    "celeba32": ("celeba32_dcgan_generator.pt", "celeba32_dcgan_discriminator.pt"),
    "mnist28": ("mnist28_wgangp_generator.pth", "mnist28_wgangp_critic.pth"),
}
LINEAR = GeneratorSpec(
    name="linear",
    architecture="dcgan",
    resolution=8,
    z_dim=10,
    facts=(("layers", (("dense", 3, "none", 8),)),),
)
# The 20-60-784 net of Lei et al. 2019, its weights Gaussian as their theorems have them.
DENSE = GeneratorSpec(
    name="dense",
    architecture="dcgan",
    resolution=28,
    z_dim=20,
    facts=(("layers", (("dense", 60, "relu"), ("dense", 1, "none", 28))),),
)


@lru_cache
def trained(name: str) -> Pair:
    """ "celeba32" or "mnist28" with its discriminator, converted from the files of others."""
    from weights_convert import convert

    generator, judge = (WEIGHTS / file for file in FILES[name])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{name}.safetensors"
        convert(generator, name=name, discriminator=judge, out=out)
        return load_generator(str(out))


@lru_cache
def faces(count: int = 8, size: int = 32) -> np.ndarray:
    """The first photographs in the folder of faces, [count, size, size, 3]."""
    found = find_images([str(FACES)], limit=count)
    return read_images(found, size=size, align="none")


def drawn(pair: Pair, count: int = 8, seed: int = 7) -> np.ndarray:
    """Pictures that the generator draws itself."""
    return render(*pair, sample_latents(*pair, count, seed=seed))


@lru_cache
def random_net(spec: GeneratorSpec) -> Pair:
    """A chain of dense layers with Gaussian weights that keep the size of what goes through."""
    draws, tree, width = np.random.default_rng(0), {}, spec.z_dim
    for number, fields in enumerate(dict(spec.facts)["layers"]):
        count = fields[1] * (fields[3] ** 2 if len(fields) > 3 else 1)
        kernel = draws.standard_normal((width, count)) / np.sqrt(width)
        tree[f"layer{number}"] = {"kernel": kernel, "bias": np.zeros(count)}
        width = count
    params: Any = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)
    return build(spec), {"synthesis": params}


def present() -> bool:
    """Whether the weights and faces of others are there."""
    return WEIGHTS.is_dir() and FACES.is_dir()
