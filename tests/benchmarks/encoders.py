"""What an encoder of a small generator gives, and what searches from its codes: `... encoders RUN`.

Pictures are the generator's own, of codes that training has not seen. Printed are means over them:
the PSNR after each look; losses of a search of 20 evaluations from the encoder's code and of 100
from the mean; and, of IDInvert's search (Zhu et al. 2020, arXiv:2004.00049, equation 5) with and
without its regulariser, the PSNR and how far the code lies from what the encoder makes of the
picture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxinv.encoders.encoding import Given, encode_batches
from jaxinv.encoders.loading import linked_generator, load_encoder
from jaxinv.inversion.invert import invert
from jaxinv.latents.sampling import sample_latents
from jaxinv.metrics.reconstruction import psnr
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.presets import PRESETS
from jaxinv.specs import InitSpec, Preset, Stage, Variable

SEED = 77  # of the pictures
FEW, MANY = 20, 100  # evaluations from the encoder's code, and from the mean


def levels(pictures: np.ndarray) -> np.ndarray:
    """uint8 of pictures in [-1, 1]."""
    return np.rint((np.clip(pictures, -1, 1) + 1) * 127.5).astype(np.uint8)


def report(name: str, count: int, cycle: float) -> None:
    """Print the three comparisons for the encoder of a run, or of that name."""
    loaded = load_encoder(name)
    drawing = load_generator(linked_generator(name))
    gen, params = drawing
    space = loaded[0].spec.output
    asked = levels(render(gen, params, sample_latents(gen, params, count, seed=SEED)))
    pictures = asked / 127.5 - 1.0

    def score(latents: Any) -> np.ndarray:
        drawn = levels(render(gen, params, jax.tree.map(np.asarray, latents)))
        return psnr(drawn, asked)

    for passes in range(1, max(loaded[0].spec.passes, 1) + 1):
        given = Given(passes=passes if "reconstruction" in loaded[0].spec.planes else None)
        codes = encode_batches(loaded, drawing, pictures, given)
        values = score(codes)
        print(f"look {passes}: {values.mean():.2f} dB (worst {values.min():.2f})", flush=True)
    searches(drawing, loaded, pictures, score)
    if space in ("w+", "w", "z"):
        held_in_domain(drawing, loaded, pictures, score, cycle)


def searches(drawing: Any, loaded: Any, pictures: np.ndarray, score: Any) -> None:
    """A few evaluations from the encoder's code, and many from the preset's own start."""
    gen, params = drawing
    preset = PRESETS["w+" if gen.spec.w_dim else "z"]
    preset = replace(preset, restarts=1)
    for words, steps, init in (
        ("the mean" if gen.spec.w_dim else "a random z", MANY, None),
        ("the encoder", MANY, loaded),
    ):
        found = invert(gen, params, pictures, preset=preset, steps=steps, init=init)
        losses = np.fmin.accumulate(found.losses[:, 0], axis=1)
        told = ", ".join(f"{n}: {losses[:, n - 1].mean():.5f}" for n in (1, FEW, 50, MANY))
        print(f"{preset.name} from {words}, loss after {told}", flush=True)
        print(f"  {score(found.latents).mean():.2f} dB after {steps}", flush=True)


def held_in_domain(
    drawing: Any, loaded: Any, pictures: np.ndarray, score: Any, cycle: float
) -> None:
    """IDInvert's search by pixels, with its regulariser and without."""
    gen, params = drawing
    space = loaded[0].spec.output
    own = PRESETS["idinvert-cycle"].stages[0]
    pixels, seen = own.terms[0], replace(own.terms[-1], weight=cycle)
    for words, terms in (("pixels", (pixels,)), ("pixels and the encoder", (pixels, seen))):
        variable = Variable(space, init=InitSpec("given"))
        stage = Stage((variable,), terms, steps=own.steps, solver=own.solver)
        preset = Preset("idinvert of pixels", (stage,), "", "")
        found = invert(gen, params, pictures, preset=preset, init=loaded)
        drawn = np.clip(render(gen, params, found.latents), -1, 1)
        again = encode_batches(loaded, drawing, drawn, Given())[space]
        codes = np.asarray(found.latents[space])
        apart = np.sqrt(np.mean(np.square(codes - again), axis=tuple(range(1, codes.ndim))))
        print(
            f"{words}: {score(found.latents).mean():.2f} dB, the code lies {apart.mean():.4f} from "
            f"the encoder's (root mean square)",
            flush=True,
        )
