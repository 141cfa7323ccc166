"""Every preset on the generators that can serve it, with scores and times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxinv.checks import check_choice
from jaxinv.inversion import Inversion, invert
from jaxinv.loading import load_features, load_generator
from jaxinv.metrics import psnr, ssim
from jaxinv.metrics.perceptual import lpips
from jaxinv.operators import build as build_operator
from jaxinv.pixels import to_uint8
from jaxinv.presets import PRESETS
from jaxinv.rendering import render
from jaxinv.sampling import sample_latents
from jaxinv.specs import Preset, Stage
from jaxinv.zoo import is_present
from tests.benchmarks.methods.claims import BEHIND, TOGETHER, head, line, spent
from tests.benchmarks.methods.sources import drawn, faces, present, trained
from tests.tiny import Pair

COLUMNS = (
    "preset", "generator", "images", "evaluations", "PSNR mean / worst", "SSIM", "LPIPS-Alex",
    "seconds per image",
)  # fmt: skip
USUAL = ("celeba32", "mnist28")
GENERATORS = (*USUAL, "ffhq")
FITTED = "*"  # behind the name of a preset that was fitted to its generator
LEGEND = (
    "Evaluations are those made per image, over all restarts; seconds include compiling; pictures "
    "that a preset measures through its operator are scored against the clean ones; starts that a "
    f"preset asks for are draws. {FITTED}: without the class, or with fewer layers of the "
    "discriminator, than the preset names. mnist28 gets its own pictures."
)


def pair_and_images(name: str, count: int) -> tuple[Pair, np.ndarray, str]:
    """A generator, pictures for it, and what they are."""
    if name == "ffhq":
        return load_generator("ffhq"), faces(count, 256), f"{count} faces, 256 px"
    pair = trained(name)
    if name == "mnist28":
        return pair, drawn(pair, count), f"{count} own"
    return pair, faces(count, pair[0].spec.resolution), f"{count} faces"


def fitted(preset: Preset, pair: Pair) -> Preset:
    """The preset without a class that the generator lacks, and with a smaller discriminator."""
    spec, judge = pair[0].spec, pair[0].discriminator
    layers = len(judge.steps) if judge is not None else 0

    def fit(stage: Stage) -> Stage:
        kept = tuple(v for v in stage.variables if spec.labels or v.space != "embedding")
        terms = tuple(
            replace(t, last=layers) if layers and t.last > layers else t for t in stage.terms
        )
        return replace(stage, variables=kept, terms=terms)

    return replace(preset, stages=tuple(map(fit, preset.stages)))


def measured(preset: Preset, images: np.ndarray) -> np.ndarray:
    if preset.operator is None:
        return images
    operator = build_operator(preset.operator, images.shape[1:])
    return np.stack([np.asarray(operator.apply(jnp.asarray(image))) for image in images])


def steps_for(preset: Preset, most: int | None) -> int | None:
    """Evaluations of one restart, so that all of an image's make `most` at most."""
    if most is None or preset.steps * preset.restarts <= most:
        return None
    return max(most // preset.restarts, len(preset.stages))


def run(preset: Preset, pair: Pair, images: np.ndarray, most: int | None) -> Inversion:
    starts = None
    if preset.needs_start:
        starts = sample_latents(*pair, len(images), seed=1)
    settings: dict[str, Any] = {"starts": starts, "steps": steps_for(preset, most)}
    if not pair[0].spec.w_dim:  # small networks
        settings |= {"batch": len(images), "width": TOGETHER}
    return invert(*pair, measured(preset, images), preset=preset, **settings)


def scores(pair: Pair, found: Inversion, images: np.ndarray) -> tuple[str, str, str]:
    plain = {name: x for name, x in found.latents.items() if name not in BEHIND}
    made = to_uint8(render(*pair, plain, size=images.shape[1])), to_uint8(images)
    decibels, similar = psnr(*made), ssim(*made)
    apart = lpips("alexnet", load_features(("alexnet",))["alexnet"], *made)
    return (
        f"{decibels.mean():.2f} / {decibels.min():.2f}",
        f"{similar.mean():.3f}",
        f"{apart.mean():.3f}",
    )


def row(name: str, generator: str, count: int, most: int | None) -> str:
    """One preset on one generator; where it cannot be served, why."""
    pair, images, told = pair_and_images(generator, count)
    preset = fitted(PRESETS[name], pair)
    label = name + (FITTED if preset != PRESETS[name] else "")
    began = time.monotonic()
    try:
        found = run(preset, pair, images, most)
    except ValueError as error:
        return line(label, generator, told, "", f"refused: {error}", "", "", "")
    each = (time.monotonic() - began) / len(images)
    return line(label, generator, told, spent(found), *scores(pair, found, images), f"{each:.1f}")


def pairs(names: Iterable[str], generators: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Presets with generators; `ValueError` for one that is unknown."""
    chosen = tuple(generators) or USUAL
    for generator in chosen:
        check_choice("generator", generator, GENERATORS)
    for name in tuple(names) or PRESETS:
        check_choice("preset", name, tuple(PRESETS))
        for generator in chosen:
            if names or serves(name, generator):
                yield name, generator


def serves(name: str, generator: str) -> bool:
    """Whether a preset is for generators of this kind: with a W, or without one."""
    spaces = {v.space for stage in PRESETS[name].stages for v in stage.variables}
    in_w = bool(spaces & {"w", "w+", "s", "noise"})
    return in_w == (generator == "ffhq")


def measurable() -> bool:
    """Whether the generators of others and the net of the scores are here."""
    return present() and is_present("lpips")


def report(
    names: Iterable[str],
    *,
    generators: Iterable[str] = (),
    count: int = 8,
    most: int | None = None,
    write: Callable[[str], object] = print,
) -> None:
    """Print the table as its rows end."""
    chosen = list(pairs(names, generators))
    write(head(COLUMNS))
    for name, generator in chosen:
        write(row(name, generator, count, most))
    write(f"\n{LEGEND}")
