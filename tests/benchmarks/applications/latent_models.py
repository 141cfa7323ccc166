"""Models of the latents of the packaged generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.stats import multivariate_normal

import jaxinv
from jaxinv.applications.latent_models import down, learn_flow, learn_ladder, up, with_flow
from jaxinv.edits.discovery.principal import coordinates, principal
from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.edits.discovery.training import Training
from jaxinv.io.checkpoints import PACKAGED
from jaxinv.io.images import write_images
from jaxinv.models.rendering import render
from jaxinv.nn import couplings
from jaxinv.presets.latent_models import LIA
from jaxinv.specs import Preset, Stage, Term, Variable
from tests.benchmarks.applications.rows import Row

COUNT, SAMPLES, HELD, WIDTH = 4, 6000, 1000, 16


def w_of_avatars(out: Path | None = None) -> tuple[str, bool]:
    """Likelihood of codes that were not learned, what a short middle keeps, and four searches."""
    gen, params = jaxinv.load_generator("avatars")
    codes = draw_codes(gen, params, "w", SAMPLES + HELD)[0]
    known, held = codes[:SAMPLES], codes[SAMPLES:]
    flow = learn_flow(known, training=Training(2500, 1e-3, label="LIA"))
    y, change = (np.asarray(part) for part in couplings.forward(flow, jnp.asarray(held)))
    width = known.shape[1]
    ours = (change - 0.5 * np.square(y).sum(1) - 0.5 * width * np.log(2 * np.pi)).mean()
    spread: Any = np.cov(known.T)
    normal = multivariate_normal(known.mean(0), spread, allow_singular=True)
    gain = ours - normal.logpdf(held).mean()
    ladder = learn_ladder(known, WIDTH, training=Training(2500, 1e-3, label="LaDDer"))
    whole = np.square(held - known.mean(0)).sum()
    lost = np.square(down(ladder, up(ladder, held)) - held).sum() / whole
    axes = principal(known, WIDTH)
    flat = coordinates(axes, held) * axes.deviations @ axes.directions + axes.mean
    linear = np.square(flat - held).sum() / whole
    errors, pictures = searches(gen, params, flow)
    if out is not None:
        write_images(out, pictures, overwrite=True)
    words = (
        f"W of avatars, {width} numbers: LIA's density is {gain:+.1f} nats a code from a normal of "
        f"the same mean and covariance; a middle of {WIDTH} loses {lost:.2f} of the variance with "
        f"LaDDer, {linear:.2f} with principal components; four pictures, 200 steps of `lia` in W: "
        f"mean square {errors[1]:.4f}, without the map {errors[0]:.4f}"
    )
    return words, bool(gain > 0 and lost < linear and errors[1] <= errors[0])


def searches(gen: Any, params: Any, flow: Any) -> tuple[list[float], np.ndarray]:
    """Mean squares of four pictures found in W, plain and by the learned map; all side by side."""
    files = sorted((PACKAGED / "avatars").glob("*.png"))[:COUNT]
    images = jaxinv.read_images(files, size=gen.spec.resolution)
    errors, shown = [], [images]
    for codec in ("whiten", "flow"):
        (stage,) = LIA.stages
        prior = Term("gaussian", 1e-3, variable="w")
        made = Preset(
            "w",
            (Stage((Variable("w", codec=codec),), (Term("mse"), prior), 200, stage.solver),),
            "",
            "",
        )
        found = jaxinv.invert(gen, with_flow(params, flow), images, preset=made, nets={})
        shown.append(render(gen, params, found.latents))
        errors.append(float(np.square(shown[-1] - images).mean()))
    return errors, np.concatenate(shown, axis=2)


ROWS = {
    "latent-models": Row(
        "codes have a learned prior in which a search is at home (LIA, LaDDer; no VAE of theirs)",
        w_of_avatars,
    ),
}
