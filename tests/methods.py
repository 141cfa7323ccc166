"""Every preset on a tiny generator that has what it asks for, in a handful of evaluations."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.applications.latent_models import with_flow
from jaxinv.encoders.cycle import as_net
from jaxinv.encoders.networks import build as build_encoder
from jaxinv.encoders.plans import encoder_spec
from jaxinv.encoders.training import unchanging
from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Inversion
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.features import backbones
from jaxinv.models.features.base import FeatureNet
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import build
from jaxinv.models.rendering import render
from jaxinv.models.statistics import ANCHORS, STATISTICS
from jaxinv.nn import couplings
from jaxinv.operators import build as build_operator
from jaxinv.presets import ENCODERS, PRESETS
from jaxinv.specs import EncoderPlan, GeneratorSpec, MaskSpec, OperatorSpec, Preset, Stage
from jaxinv.specs.vocabulary import ENCODER, TEXT
from tests.judged import critical, looking
from tests.tiny import Pair, chain, classes, grown, mobile, style, third, tree

FEW = 10  # evaluations of a stage
# In the place of a face, which pictures of tiny generators do not show.
HOLE = MaskSpec("face", "operator", OperatorSpec("hole", share=0.5, invert=True))
THREE = (
    "dgp-reconstruct",
    "dhr",
    "gan-paint",
    "ilo",
    "mimicgan",
)  # presets whose third stage differs
DENSE = GeneratorSpec(
    name="dense",
    architecture="dcgan",
    resolution=8,
    z_dim=6,
    facts=(("layers", (("dense", 24, "relu"), ("dense", 3, "none", 8))),),
)
# The layers of the real nets with a few channels each, so that 16 px suffice and compile fast.
NARROW: dict[str, FeatureNet] = {
    "vgg16": backbones.build(
        "vgg16",
        tuple((row[0], 4, *row[2:]) for row in backbones.VGG16),
    ),
    "alexnet": backbones.build(
        "alexnet",
        tuple((suffix, 4, 3, 1, 1, 0) for suffix, *_ in backbones.ALEXNET),
    ),
}


@lru_cache
def dense() -> Pair:
    """A chain of two dense layers."""
    draws = np.random.default_rng(0)
    tree = {
        "layer0": {"kernel": draws.standard_normal((6, 24)), "bias": np.zeros(24)},
        "layer1": {"kernel": draws.standard_normal((24, 192)) / 10, "bias": np.zeros(192)},
    }
    return build(DENSE), {"synthesis": jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)}


@lru_cache
def judged() -> Pair:
    """A BigGAN with a discriminator that attends."""
    gen, params = classes()
    draws = np.random.default_rng(3)
    own = {"in": draws.normal(size=(3, 4)), "mix": draws.normal(size=(2, 4, 4))}
    own = {name: jnp.asarray(value, jnp.float32) for name, value in own.items()}
    return gen._replace(discriminator=looking()), {**params, DISCRIMINATOR: own}


def pair_of(name: str) -> Pair:
    """The generator that a preset is tried on."""
    preset = PRESETS[name]
    spaces = {v.space for stage in preset.stages for v in stage.variables}
    terms = [term for stage in preset.stages for term in stage.terms]
    if "layerwise" in {v.init.kind for stage in preset.stages for v in stage.variables}:
        return dense()
    if any(term.kind.cloud for term in terms):
        return tree()
    if any(term.name == "realism" for term in terms):
        return critical()
    if any(term.needs_discriminator for term in terms):
        return judged()
    if "embedding" in spaces:
        return classes()
    if name.startswith("stylegan3"):
        return third()
    if name.startswith(("ganseeing", "gan-paint")) or name == "mganprior":
        return grown()
    if name in (
        *("quick", "default", "fine", "faithful", "restore", "dhr"),
        *("personal", "mystyle", "stit-tuning", "stit-stitching", "styleclip"),
    ):
        return mobile()
    return style() if spaces & {"w", "w+", "noise"} else chain()


def short(preset: Preset) -> Preset:
    """The preset with its first stages, few evaluations, candidates, copies and restarts."""
    stages = preset.stages[: 3 if preset.name in THREE else 2]
    masks = tuple(mask if mask.source != "face" else HOLE for mask in preset.masks)
    return replace(preset, stages=tuple(map(_short, stages)), masks=masks, restarts=1)


def _short(stage: Stage) -> Stage:
    fewer = {"population": 4, "inner": 2, "warmup": 2, "leapfrog_steps": 2}
    options = tuple((k, min(v, fewer.get(k, v))) for k, v in stage.solver.options)
    steps = 12 if stage.solver.name.startswith("basin") else FEW
    return replace(
        stage,
        steps=min(stage.steps, steps),
        solver=replace(stage.solver, options=options),
        terms=tuple(replace(t, last_layers=min(t.last_layers, 2)) for t in stage.terms),
        variables=tuple(
            replace(v, num_codes=min(v.num_codes, 3), init=replace(v.init, count=4))
            for v in stage.variables
        ),
    )


def images_for(preset: Preset, pair: Pair) -> np.ndarray:
    """One picture near the generator's range, as the preset's operator would have it measured."""
    gen, params = pair
    drawn = draw_prior(gen.spec, jax.random.key(8))
    clean = render(gen, params, {name: value[None] for name, value in drawn.items()})
    noise = np.random.default_rng(2).standard_normal(clean.shape)
    images = (0.9 * clean + 0.05 * noise).astype(np.float32)
    if gen.spec.name == "dense":
        return clean
    if preset.operator is None:
        return images
    operator = build_operator(preset.operator, images.shape[1:])
    return np.stack([np.asarray(operator.apply(jnp.asarray(image))) for image in images])


@lru_cache
def nets() -> dict[str, Any]:
    """Random weights of the narrow nets."""
    return {name: net.init(jax.random.key(1)) for name, net in NARROW.items()}


@lru_cache
def run_short(name: str, stages: int = 3) -> Inversion:
    """A preset on its tiny generator, in short; only the first `stages`."""
    preset = short(PRESETS[name])
    return run(name, replace(preset, stages=preset.stages[:stages]))


def run(name: str, preset: Preset, **others: Any) -> Inversion:
    """A preset on the generator of the one called `name`."""
    gen, params = pair_of(name)
    starts = None
    if preset.requires_starts:
        drawn = draw_prior(gen.spec, jax.random.key(5))
        starts = {"z": drawn["z"][None]}
    labels = [3] if gen.spec.labels else None
    images = images_for(preset, (gen, params))
    held = nets() | ({ENCODER: looker((gen, params))} if ENCODER in preset.nets else {})
    pictured = [name for name in preset.targets if name != TEXT]
    given: dict[str, Any] = {"named_images": dict.fromkeys(pictured, images[:, ::-1])}
    if TEXT in preset.targets:
        held["clip"] = jax.tree_util.Partial(seen_colours, jnp.eye(3))
        given["named_vectors"] = {TEXT: np.array([[1.0, -1.0, 0.5]], np.float32)}
    for name in {"face-landmarks", "arcface-ir"} & set(preset.nets):
        held[name] = jax.tree_util.Partial(seen_colours, jnp.eye(3))
    given["named_masks"] = {
        mask.name: halves(images) for mask in preset.masks if mask.source == "given"
    }
    if any(v.codec == "hull" for stage in preset.stages for v in stage.variables):
        params = {**params, STATISTICS: {**params[STATISTICS], ANCHORS: anchors(gen)}}
    if any(v.codec == "flow" for stage in preset.stages for v in stage.variables):
        params = with_flow(params, couplings.init(jax.random.key(1), gen.spec.z_dim))
    return invert(
        gen,
        params,
        images,
        preset=preset,
        nets=held,
        labels=labels,
        starts=starts,
        **{**given, **others},
    )


def seen_colours(mix: Any, image: Any) -> Any:
    """The mean colour [3] of an image, mixed: pictures of a space in which texts are colours."""
    return image.mean((0, 1)) @ mix


def halves(images: np.ndarray) -> np.ndarray:
    """A mask [B, S, S] of the upper half."""
    mask = np.zeros(images.shape[:3], np.float32)
    mask[:, : images.shape[1] // 2] = 1
    return mask


def anchors(gen: Generator) -> np.ndarray:
    """Codes [3, rows, w_dim] of three pictures of one person."""
    shape = (3, gen.spec.rows, gen.spec.w_dim)
    return np.random.default_rng(4).normal(size=shape).astype(np.float32)


def looker(pair: Pair) -> Any:
    """A small encoder with random weights, as a net that terms look with."""
    gen, params = pair
    plan = EncoderPlan("dcgan", "dcgan-dense", outputs=("w+", "z"), facts=(("width", 4),))
    spec = encoder_spec(replace(ENCODERS["encoder"], plan=plan), gen.spec)
    encoder = build_encoder(spec)
    made = encoder.init(jax.random.key(2)) | unchanging(gen, params, spec)
    return as_net(encoder, made, gen, params)
