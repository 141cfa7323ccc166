"""Every preset on the generators that can serve it, with scores and times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Inversion
from jaxinv.io.files import atomic_write
from jaxinv.io.image_ops import to_uint8
from jaxinv.latents.sampling import sample_latents
from jaxinv.metrics import psnr, ssim
from jaxinv.metrics.perceptual import lpips
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render
from jaxinv.models.zoo import is_present
from jaxinv.operators import build as build_operator
from jaxinv.presets import PRESETS
from jaxinv.reports import preset_scores
from jaxinv.reports.markdown import head, line
from jaxinv.reports.preset_scores import COLUMNS, LEGEND, Figure
from jaxinv.specs import Preset, Stage
from jaxinv.specs.checks import check_choice
from tests.benchmarks.methods.claims import BEHIND, TOGETHER, spent
from tests.benchmarks.methods.sources import DENSE, drawn, faces, present, random_net, trained
from tests.tiny import Pair

USUAL = ("celeba32", "mnist28", "dense")
GENERATORS = (*USUAL, "ffhq")


class Options(NamedTuple):
    """Of the table: how many pictures, of which side (`ffhq` only), evaluations of each at most."""

    count: int = 8
    side: int = 256
    most: int | None = None


def pair_and_images(name: str, options: Options) -> tuple[Pair, np.ndarray, bool]:
    """A generator, pictures for it, and whether it drew them."""
    if name == "ffhq":
        return load_generator("ffhq"), faces(options.count, options.side), False
    pair = random_net(DENSE) if name == "dense" else trained(name)
    if name == "celeba32":
        return pair, faces(options.count, pair[0].spec.resolution), False
    return pair, drawn(pair, options.count), True


def fitted(preset: Preset, pair: Pair) -> Preset:
    """The preset without a class that the generator lacks, and with a smaller discriminator."""
    spec, judge = pair[0].spec, pair[0].discriminator
    layers = len(judge.steps) if judge is not None else 0

    def fit(stage: Stage) -> Stage:
        kept = tuple(v for v in stage.variables if spec.labels or v.space != "embedding")
        terms = tuple(
            replace(t, last_layers=layers) if layers and t.last_layers > layers else t
            for t in stage.terms
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
    if preset.requires_starts:
        starts = sample_latents(*pair, len(images), seed=1)
    settings: dict[str, Any] = {"starts": starts, "steps": steps_for(preset, most)}
    if not pair[0].spec.w_dim:  # small networks
        settings |= {"batch": len(images), "width": TOGETHER}
    return invert(*pair, measured(preset, images), preset=preset, **settings)


def scores(pair: Pair, found: Inversion, images: np.ndarray) -> dict[str, Any]:
    plain = {name: x for name, x in found.latents.items() if name not in BEHIND}
    made = to_uint8(render(*pair, plain, size=images.shape[1])), to_uint8(images)
    decibels = psnr(*made)
    values = {
        "psnr": decibels.mean(),
        "worst": decibels.min(),
        "ssim": ssim(*made).mean(),
        "lpips_alex": lpips("alexnet", load_features(("alexnet",))["alexnet"], *made).mean(),
    }
    return {key: rounded(value) for key, value in values.items()}


def rounded(value: float) -> float | None:
    """Three digits after the point; None for the PSNR of equal pictures."""
    return round(float(value), 3) if np.isfinite(value) else None


def measure(name: str, generator: str, options: Options) -> Figure:
    """One preset on one generator; `ValueError` where it cannot be served."""
    pair, images, own = pair_and_images(generator, options)
    preset = fitted(PRESETS[name], pair)
    began = time.monotonic()
    found = run(preset, pair, images, options.most)
    seconds = (time.monotonic() - began) / len(images)
    return Figure(
        name,
        generator,
        len(images),
        images.shape[1],
        own,
        spent(found),
        **scores(pair, found, images),
        seconds=round(seconds, 1),
        fitted=preset != PRESETS[name],
    )


def keep(figure: Figure, file: Path) -> None:
    """Write the figure into the file, instead of what the preset had on that generator."""
    kept = [
        other
        for other in (preset_scores.read(file) if file.exists() else [])
        if (other.preset, other.generator) != (figure.preset, figure.generator)
    ]
    order = {name: place for place, name in enumerate(PRESETS)}
    kept = sorted([*kept, figure], key=lambda one: (order[one.preset], one.generator))
    text = "".join(json.dumps(one._asdict(), allow_nan=False) + "\n" for one in kept)
    atomic_write(file, lambda to: to.write(text.encode()))


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
    """Whether a preset is for generators of this kind: with a W, of dense layers, or others."""
    stages = PRESETS[name].stages
    spaces = {v.space for stage in stages for v in stage.variables}
    if any(v.init.kind == "layerwise" for stage in stages for v in stage.variables):
        return generator == "dense"
    in_w = bool(spaces & {"w", "w+", "s", "noise"})
    return generator != "dense" and in_w == (generator == "ffhq")


def measurable() -> bool:
    """Whether the generators of others and the net of the scores are here."""
    return present() and is_present("lpips")


def report(
    names: Iterable[str],
    *,
    generators: Iterable[str] = (),
    options: Options = Options(),  # noqa: B008 - a tuple
    out: Path | None = None,
    write: Callable[[str], object] = print,
) -> None:
    """Print the table as its rows end; with `out`, keep them there too."""
    chosen = list(pairs(names, generators))
    write(head(COLUMNS))
    for name, generator in chosen:
        try:
            figure = measure(name, generator, options)
        except ValueError as error:
            write(line(name, generator, "", "", f"refused: {error}", "", "", ""))
            continue
        write(line(*figure.cells))
        if out is not None:
            keep(figure, out)
    write(f"\n{LEGEND}")
