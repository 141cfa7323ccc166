"""What papers on StyleGANs claim, on pictures of faces and the pulled `ffhq` generator.

Faces are those of the folder of test pictures; evaluations are fewer than the papers', and stated.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Inversion
from jaxinv.inversion.statistics import with_statistics
from jaxinv.latents.spaces import encode
from jaxinv.metrics.convergence import psnr_of
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render, render_uint8
from jaxinv.operators import build
from jaxinv.presets import PRESETS
from jaxinv.runs.results import score
from jaxinv.specs import InitSpec, OperatorSpec, Preset, SolverSpec, Stage, Term, Variable
from jaxinv.types import Latents
from tests.benchmarks.methods.claims import Claim, Found
from tests.benchmarks.methods.sources import faces
from tests.weights import SHARED
from weights_convert.sources import containers

DIRECTIONS = SHARED / "data" / "directions"
SHARES = (0.0, 0.01, 1.0)  # of the weight of the Mahalanobis norm
EDITS = {"age": 3.0, "smile": 2.0, "pose": 3.0}  # steps in W along published unit directions


@lru_cache
def pair() -> tuple[Any, Any]:
    return load_generator("ffhq")


@lru_cache
def nets() -> dict[str, Any]:
    return load_features(("alexnet", "vgg16"))


def search(images: np.ndarray, preset: Preset, **others: Any) -> Inversion:
    return invert(*pair(), images, preset=preset, nets=nets(), **others)


def scores(images: np.ndarray, latents: Latents) -> dict[str, float]:
    """Means of the scores of what latents draw at full resolution, as 8-bit pictures."""
    singles = [jax.tree.map(lambda a, i=i: a[i], latents) for i in range(len(images))]
    rows = [
        score(nets(), render_uint8(*pair(), one), image)
        for one, image in zip(singles, images, strict=True)
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def spaces(count: int = 8, steps: int = 50) -> Found:
    """W+ beats W beats Z: the same objective, solver, starts and evaluations at 64 px."""
    images, reached = faces(count, 64), {}
    for space in ("z", "w", "w+"):
        code = Variable(space, init=InitSpec("best-of", count=16))
        terms = (Term("mse", 3.0), Term("lpips", net="alexnet"))
        stage = Stage((code,), terms, steps, SolverSpec("lbfgs", 0.1))
        found = search(images, Preset("p", (stage,), "", ""), record_terms=("mse",))
        reached[space] = float(np.mean(psnr_of(np.nanmin(found.terms["mse"][:, 0], axis=1))))
    words = ", ".join(f"{space} {value:.2f} dB" for space, value in reached.items())
    holds = reached["w+"] > reached["w"] > reached["z"]
    return Found(words, holds, f"{steps} each", f"{count} faces, 64 px")


def noise_maps(count: int = 8, steps: int = 60) -> Found:
    """Image2StyleGAN++: the noise stage lifts PSNR by at least 10 dB."""
    images = faces(count, 256)
    codes = search(images, PRESETS["quick"])
    grain = search(images, PRESETS["image2stylegan++-noise"], steps=steps, starts=codes.latents)
    before, after = (scores(images, found.latents)["psnr"] for found in (codes, grain))
    words = f"W+ (`quick`) {before:.2f} dB, then noise {after:.2f} dB"
    spent = f"{PRESETS['quick'].steps} + {steps}"
    return Found(words, after - before >= 10, spent, f"{count} faces, 256 px")


def pulse(count: int = 16, factor: int = 8) -> Found:
    """PULSE: answers that give the small picture to within its epsilon, for 80 % of faces."""
    images, down = faces(count, 256), OperatorSpec("down", factor=factor)
    operator = build(down, images.shape[1:])
    small = np.stack([np.asarray(operator.apply(jnp.asarray(image))) for image in images])
    preset = replace(PRESETS["pulse"], operator=down)
    start, moved = preset.stages
    alone = replace(preset, stages=(start, replace(moved, terms=moved.terms[:1])))

    def least(preset: Preset, seen: np.ndarray) -> np.ndarray:
        """Smallest mean squares on [0, 1]."""
        found = search(seen, preset, record_terms=("mse",))
        return np.nanmin(found.terms["mse"][:, 0], axis=1) / 4

    epsilon, reached = 0.002, least(preset, small)
    missed = reached > 1.01 * epsilon
    share = float(np.mean(~missed))
    words = f"{share:.0%} within epsilon; median {np.median(reached):.4f} of {epsilon}"
    if missed.any():
        freed = ", ".join(f"{value:.4f}" for value in least(alone, small[missed]))
        words += f"; the others without GEOCROSS: {freed}"
    side = images.shape[1] // factor
    return Found(words, share >= 0.8, str(preset.steps), f"{count} faces, {side} -> 256 px")


def mahalanobis(count: int = 8, steps: int = 80) -> Found:
    """P_N: half the Mahalanobis norm for less than a tenth more LPIPS, at some weight."""
    gen, params = pair()
    images, wanted = faces(count, 128), PRESETS["ii2s"]
    (stage,) = wanted.stages
    *likeness, penalty = stage.terms
    known, code = with_statistics(gen, params, wanted, {}), Variable("w+", codec="pn")
    norms, losses = [], []
    for share in SHARES:
        terms = (*likeness, replace(penalty, weight=share * penalty.weight))
        preset = replace(wanted, stages=(replace(stage, terms=terms),))
        found = search(images, preset, steps=steps, record_terms=(likeness[-1].label,))
        one = jax.vmap(lambda latents: jnp.mean(jnp.square(encode(gen, known, code, latents))))
        norms.append(float(np.mean(one(found.latents))))
        seen = found.terms[likeness[-1].label][:, 0]
        losses.append(float(np.mean(np.nanmin(seen, axis=1))))
    told = [
        f"{share:g} of the weight: norm {norm:.2f}, LPIPS-VGG {loss:.4f}"
        for share, norm, loss in zip(SHARES, norms, losses, strict=True)
    ]
    pairs = list(zip(norms, losses, strict=True))[1:]
    holds = any(n <= 0.5 * norms[0] and loss <= 1.1 * losses[0] for n, loss in pairs)
    return Found("; ".join(told), holds, f"{steps} each", f"{count} faces, 128 px")


def direction(name: str) -> np.ndarray:
    """A published unit direction in W, [512]."""
    found = containers.read_checkpoint(DIRECTIONS / f"e4e_{name}.pt")
    vector = np.asarray(jax.tree.leaves(found.tree)[0], np.float32)
    return vector.reshape(-1, 512)[0]


def edits_alike(pivots: Latents, tuned: Latents) -> list[float]:
    """Mean cosine, by edit, of what it changes in pictures of the pivots and of the tuned."""
    gen, params = pair()
    count, likeness = len(pivots["w+"]), []
    for name, step in EDITS.items():
        moves = []
        for codes in (pivots, tuned):
            moved = {**codes, "w+": codes["w+"] + step * direction(name)}
            plain, edited = (render(gen, params, some, size=256) for some in (codes, moved))
            moves.append((edited - plain).reshape(count, -1))
        a, b = moves
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        likeness.append(float(np.mean(np.sum(a * b, axis=1) / norms)))
    return likeness


def tuning(count: int = 16) -> Found:
    """PTI: LPIPS at least 40 % below the pivot's, and the pivot's edits still do the same."""
    images = faces(count, 256)
    tuned = search(images, PRESETS["faithful"]).latents
    pivots = {"w+": tuned["w+"]}
    before, after = (scores(images, codes) for codes in (pivots, tuned))
    likeness = edits_alike(pivots, tuned)
    told = [f"{name} {before[name]:.4g} -> {value:.4g}" for name, value in after.items()]
    edits = [f"{name} {value:.2f}" for name, value in zip(EDITS, likeness, strict=True)]
    said = f"{', '.join(told)}; cosine of what edits change: {', '.join(edits)}"
    holds = after["lpips_alex"] <= 0.6 * before["lpips_alex"] and min(likeness) >= 0.8
    return Found(said, holds, "100 + 50", f"{count} faces, 256 px")


def refinement(count: int = 16) -> Found:
    """DHR: masks and routes leave less than tuning alone, and the pivot's edits do the same."""
    images = faces(count, 256)
    refined, tuned = (search(images, PRESETS[name]).latents for name in ("dhr", "faithful"))
    ours, theirs = (scores(images, codes) for codes in (refined, tuned))
    likeness = edits_alike({"w+": refined["w+"]}, refined)
    told = [f"{name} {theirs[name]:.4g} (faithful) -> {value:.4g}" for name, value in ours.items()]
    edits = [f"{name} {value:.2f}" for name, value in zip(EDITS, likeness, strict=True)]
    said = f"{', '.join(told)}; cosine of what edits change: {', '.join(edits)}"
    holds = ours["lpips_alex"] < theirs["lpips_alex"] and ours["psnr"] > theirs["psnr"]
    return Found(said, holds, "200 and 150", f"{count} faces, 256 px")


CLAIMS = (
    Claim(
        "spaces", ("z", "default"), "Abdal et al. 2019, section 4",
        "one w per layer redraws what one w cannot, and w what z cannot",
        "PSNR of W+ over that of W over that of Z", spaces,
    ),
    Claim(
        "noise-maps", ("image2stylegan++",), "Abdal et al. 2020, section 4.1",
        "noise maps add the detail that W+ leaves out", "10 dB", noise_maps,
    ),
    Claim(
        "pulse-epsilon", ("pulse",), "Menon et al. 2020, section 4",
        "the answer gives the small picture again", "within 0.002 for 80 % of faces", pulse,
        "12 of 16: the angles between rows hold the others back, without GEOCROSS they come near",
    ),
    Claim(
        "pn-norm", ("ii2s",), "Zhu et al. 2020, section 3",
        "codes stay near the mean at little cost",
        "half the Mahalanobis norm, a tenth more LPIPS at most, at some weight", mahalanobis,
    ),
    Claim(
        "pti-tuning", ("faithful",), "Roich et al. 2021, section 4",
        "tuned weights redraw the photograph, and edits of the pivot still work",
        "LPIPS 40 % below the pivot's, cosine of what edits change over 0.8", tuning,
    ),
    Claim(
        "dhr-refinement", ("dhr", "faithful"), "Cao et al., DHR",
        "features where the generator cannot draw, weights where it can, beat weights alone",
        "higher PSNR and lower LPIPS than faithful", refinement,
    ),
)  # fmt: skip
