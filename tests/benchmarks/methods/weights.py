"""Claims about what is tuned beside the code, on faces of 32 px: weights and surrogates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import dctn, idctn

from jaxinv.inversion.result import Inversion
from jaxinv.io.image_ops import to_uint8
from jaxinv.metrics import psnr
from jaxinv.operators import build as build_operator
from jaxinv.presets import PRESETS
from jaxinv.specs import InitSpec, OperatorSpec, Preset, SolverSpec, Stage, Term, Variable
from tests.benchmarks.methods.claims import Claim, Found, decibels, restated, search, spent, spread
from tests.benchmarks.methods.sources import faces, trained

LAYERS = 5  # of the discriminator of celeba32; DGP looks at 7 or 8
LOOKED = 500  # draws that DGP's first stage compares


# --- deep generative prior ------------------------------------------------------------------------


def shallow(preset: str, *, tuned: bool = True) -> Preset:
    """A recipe of DGP for a discriminator of 5 layers, of clean pictures; or its z alone."""

    def fit(stage: Stage) -> Stage:
        terms = tuple(replace(t, last_layers=min(t.last_layers, LAYERS)) for t in stage.terms)
        free = tuple(v for v in stage.variables if tuned or v.space != "weights")
        return replace(stage, terms=terms, variables=free)

    return restated(preset, *map(fit, PRESETS[preset].stages), operator=None)


@lru_cache
def reconstructed() -> Inversion:
    return search(trained("celeba32"), faces(), shallow("dgp-reconstruct"))


def faster_z() -> Preset:
    """z by pixels at a rate that suits it: DGP's are for starts that are near already."""
    own = PRESETS["dgp-reconstruct"]
    stage = Stage((Variable("z", init=InitSpec("prior")),), (Term("mse"),), own.steps + LOOKED)
    return restated(own.name, replace(stage, solver=SolverSpec("adam", 0.05)))


def weights_beside_z() -> Found:
    pair, images = trained("celeba32"), faces()
    ends = {
        "the same stages of z": search(pair, images, shallow("dgp-reconstruct", tuned=False)),
        "z by pixels at 0.05": search(pair, images, faster_z()),
        "z and weights": reconstructed(),
    }
    scores = {name: decibels(pair, found, images) for name, found in ends.items()}
    *plain, tuned = (float(np.mean(score)) for score in scores.values())
    return Found(
        "; ".join(f"{name} {spread(score)}" for name, score in scores.items()),
        tuned >= max(plain) + 6,
        " / ".join(spent(found) for found in ends.values()),
        "8 faces",
    )


def recipes_of_dgp() -> Found:
    pair, images = trained("celeba32"), faces()
    names = ("dgp-reconstruct", "dgp-colorize")
    ends = {names[0]: reconstructed(), names[1]: search(pair, images, shallow(names[1]))}
    scores = [decibels(pair, found, images) for found in ends.values()]
    return Found(
        "; ".join(f"{name} {spread(score)}" for name, score in zip(names, scores, strict=True)),
        bool(np.mean(scores[0]) > np.mean(scores[1])),
        " / ".join(spent(found) for found in ends.values()),
        "8 faces",
    )


# --- compressed sensing ---------------------------------------------------------------------------

COUNTS, STEPS, LASSO, PENALTY = (100, 300), 1000, 500, 0.002


def lasso(operator: OperatorSpec, seen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images [B, ...] of sparse discrete cosines, by accelerated shrinkage (Beck & Teboulle 2009).

    Least of |A x - y|^2 / 2 + penalty x sum |DCT x|; the penalty is a part of what it is at 0.
    """
    made = build_operator(operator, shape)
    adjoint: Any = made.adjoint
    apply, back = jax.jit(made.apply), jax.jit(adjoint)

    def one(y: np.ndarray) -> np.ndarray:
        def gradient(c: np.ndarray) -> np.ndarray:
            x = jnp.asarray(idctn(c, axes=(0, 1), norm="ortho"), jnp.float32)
            return np.asarray(dctn(np.asarray(back(apply(x) - y)), axes=(0, 1), norm="ortho"))

        start = np.zeros(shape)
        penalty = PENALTY * np.abs(gradient(start)).max()
        step = 1 / largest(gradient, shape)
        held = moved = start
        age = 1.0
        for _ in range(LASSO):
            c = moved - step * gradient(moved)
            c = np.sign(c) * np.maximum(np.abs(c) - step * penalty, 0)
            older = (1 + np.sqrt(1 + 4 * age**2)) / 2
            moved, held, age = c + (age - 1) / older * (c - held), c, older
        return np.asarray(idctn(held, axes=(0, 1), norm="ortho"))

    return np.stack([one(y) for y in seen])


def largest(gradient: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> float:
    """The largest eigenvalue of A'A, by powers."""
    zero, x = gradient(np.zeros(shape)), np.random.default_rng(0).standard_normal(shape)
    for _ in range(30):
        x = gradient(x / np.linalg.norm(x)) - zero
    return float(np.linalg.norm(x))


def few_measurements() -> Found:
    pair, images, told, holds, evaluations = trained("celeba32"), faces(), [], True, ""
    for count in COUNTS:
        operator = OperatorSpec("circulant", count=count)
        made = build_operator(operator, images.shape[1:])
        seen = np.stack([np.asarray(made.apply(jnp.asarray(image))) for image in images])
        csgm = search(pair, seen, restated("csgm", operator=operator, restarts=2))
        iagan = search(pair, seen, restated("iagan", operator=operator), steps=STEPS)
        sparse = lasso(operator, seen, images.shape[1:])
        scores = {
            "IAGAN": decibels(pair, iagan, images),
            "CSGM": decibels(pair, csgm, images),
            "DCT": psnr(to_uint8(sparse.astype(np.float32)), to_uint8(images)),
        }
        means = [np.mean(score) for score in scores.values()]
        holds &= bool(means[0] > means[1] > means[2])
        told.append(
            f"{count} of {images[0].size}: "
            + ", ".join(f"{name} {spread(score)}" for name, score in scores.items())
        )
        evaluations = f"IAGAN {spent(iagan)}, CSGM {spent(csgm)}"
    return Found("; ".join(told), holds, evaluations, "8 faces")


# --- an unknown degradation -----------------------------------------------------------------------


def corrupted() -> dict[str, np.ndarray]:
    """Faces that went through what no method is told of."""
    clean = faces()
    blur = build_operator(OperatorSpec("blur", sigma=1.5), clean.shape[1:])
    tint = np.asarray([0.3, -0.1, -0.4], np.float32)
    return {
        "tinted": np.clip(0.5 * clean + tint, -1, 1).astype(np.float32),
        "negative": -clean,
        "blurred": np.stack([np.asarray(blur.apply(jnp.asarray(x))) for x in clean]),
    }


def plain_z() -> Preset:
    """The first stage of MimicGAN alone, for as many evaluations as all of it."""
    own = PRESETS["mimicgan"]
    return restated("mimicgan", replace(own.stages[0], steps=own.steps))


def unknown_corruption() -> Found:
    pair, told, gains, evaluations = trained("celeba32"), [], [], ""
    for name, seen in corrupted().items():
        ends = [search(pair, seen, preset) for preset in (plain_z(), PRESETS["mimicgan"])]
        plain, mimic = (decibels(pair, found, faces()) for found in ends)
        gains.append(np.mean(mimic) - np.mean(plain))
        told.append(f"{name}: z alone {spread(plain)}, MimicGAN {spread(mimic)}")
        evaluations = " / ".join(spent(found) for found in ends)
    return Found("; ".join(told), min(gains) > 0, evaluations, "8 faces, 3 corruptions")


PAN, ANIRUDH = "Pan et al. 2020", "Anirudh et al. 2020, figures 3 to 5"
CLAIMS = (
    Claim(
        "dgp-weights", ("dgp-reconstruct",), f"{PAN}, section 3.2",
        "weights that are released stage by stage redraw what z alone cannot",
        "6 dB above the best of z alone", weights_beside_z,
    ),
    Claim(
        "dgp-recipes", ("dgp-reconstruct", "dgp-colorize"), f"{PAN}, its code's settings",
        "each task has its recipe: that of colours reconstructs less well (128 px: 32.9, 25.7 dB)",
        "reconstruct above colorize", recipes_of_dgp,
    ),
    Claim(
        "iagan", ("iagan", "csgm"), "Hussein et al. 2020, section 4; Bora et al. 2017, figure 1",
        "from few measurements, tuned weights beat z, and z beats sparse cosines",
        "IAGAN > CSGM > Lasso in cosines at every count", few_measurements,
        "at 100 measurements, as many as z has numbers, weights that fit them do not gain the "
        "picture (and one start stands against CSGM's two); at 300 all is as claimed",
    ),
    Claim(
        "mimicgan", ("mimicgan",), ANIRUDH,
        "a surrogate of an unknown corruption brings the clean picture back",
        "above z alone for every corruption", unknown_corruption,
        "colours come back a little, where z is not searched for long before; a blur does not (not "
        "found why). Constants are unpublished, and eight faces that the generator cannot draw "
        "leave more than the damage to learn",
    ),
)  # fmt: skip
