"""An examination of the installation: versions, devices, weights, and a tiny inversion."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.io import checkpoints
from jaxinv.models.generators import mobilestylegan
from jaxinv.models.rendering import render
from jaxinv.models.statistics import STATISTICS, w_statistics
from jaxinv.models.zoo import ZOO, is_present
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.runs.manifest import version
from jaxinv.specs import GeneratorSpec, Preset, SolverSpec, Stage, Term, Variable

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params

PACKAGES = (
    "jaxinv", "jax", "jaxlib", "flax", "optax", "numpy", "pillow", "safetensors", "dlib-bin",
    "unearth", "evosax", "blackjax",
)  # fmt: skip
TINY = GeneratorSpec(
    "tiny", "mobilestylegan", 32, z_dim=16, w_dim=16, rows=8,
    styles=(16, 16, 4, 16, 16, 4, 8, 8), noise=(4, 8, 8, 16, 16),
)  # fmt: skip
CHECK_SOLVER = SolverSpec("lbfgs", options=(("warmup", 10),))
CHECK = Preset(
    "check",
    (Stage((Variable("w+", codec="whiten"),), (Term("mse"),), 60, CHECK_SOLVER),),
    summary="recover a picture of a tiny random generator",
    reference="own",
)


def random_params(gen: Generator) -> Params:
    """Parameters drawn by numpy: compiling the generator's own initialisation takes seconds."""
    draws = np.random.default_rng(0)

    def fill(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if len(leaf.shape) == 1:
            return np.zeros(leaf.shape, np.float32)
        scale = np.float32(np.prod(leaf.shape[:-1]) ** -0.5)
        return scale * draws.standard_normal(leaf.shape, np.float32)

    params = jax.tree.map(fill, jax.eval_shape(gen.init, jax.random.key(0)))
    return jax.tree.map(jnp.asarray, params)


def tiny_inversion() -> float:
    """Part of a random tiny generator's picture that inversion fails to explain (0 is perfect)."""
    gen = mobilestylegan.build(TINY)
    params = random_params(gen)
    params[BACKWARD_KERNELS] = precompute_backward(params)
    params[STATISTICS] = w_statistics(gen, params)
    target = render(gen, params, {"z": jax.random.normal(jax.random.key(1), (1, TINY.z_dim))})
    found = invert(gen, params, target, preset=CHECK, nets={})
    again = render(gen, params, found.latents)
    return float(np.mean(np.square(again - target)) / np.var(target))


def examine() -> tuple[list[str], bool]:
    """Lines to show, and whether all is well."""
    lines = [f"python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    lines += [f"{package} {version(package)}" for package in PACKAGES]
    lines += [f"device {device.platform} {device.device_kind}" for device in jax.devices()]
    lines.append(f"cache folder {checkpoints.cache_dir()}")
    lines += [f"weights {name}: {'here' if is_present(name) else 'not pulled'}" for name in ZOO]
    missed = tiny_inversion()
    healthy = missed < 1e-2
    verdict = "fine" if healthy else "WRONG"
    lines.append(f"tiny inversion leaves {missed:.1e} of the picture unexplained: {verdict}")
    return lines, healthy
