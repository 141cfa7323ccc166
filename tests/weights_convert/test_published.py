"""Every published configuration: numbers of parameters, sizes of spaces, and the image's shape.

The counts are sums over the layers as papers and original code list them. Where a total was printed
by the authors or in logs of their code, the sum is held against it first.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import build
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Latents, Params
from tests import published
from tests.published import CLASSES, CODE, DEEP_LOOK, LOOKS, STAGES, Z_DIMS, widths

# What training does not move, and no published total counts: noise maps, the first features and
# filters of StyleGAN3 with its running magnitudes, statistics of normalisations.
BUFFERS = {
    "stylegan1": {"noise"},
    "stylegan2": {"noise"},
    "stylegan3": {"freqs", "phases", "transform", "gain", "up_filter", "down_filter"},
    "pggan": set(),
    "biggan": {"mean", "variance"},
}


def dense(inside: int, out: int) -> int:
    return inside * out + out


def conv(inside: int, out: int, size: int = 3) -> int:
    return size * size * inside * out + out


def stylegan1(resolution: int) -> int:
    """The mapping, the constant, layers of noise strengths and styles, an image at every size."""
    total, before = 8 * dense(CODE, CODE) + 16 * 512, 0
    for width in widths(resolution, 16384):
        first = conv(before, width) if before else width  # after the constant comes a bias alone
        total += first + conv(width, width) + 2 * (width + dense(CODE, 2 * width))
        total, before = total + conv(width, 3, 1), width
    return total


def stylegan2(resolution: int, base: int, mapping: int = 8) -> int:
    """The mapping, the constant, modulated layers with one noise strength, an image everywhere."""
    total, before = mapping * dense(CODE, CODE) + 16 * 512, 0
    for width in widths(resolution, base):
        if before:
            total += conv(before, width) + 1 + dense(CODE, before)
        total += conv(width, width) + 1 + conv(width, 3, 1) + 2 * dense(CODE, width)
        before = width
    return total


def stylegan3(channels: list[int], size: int) -> int:
    """Two layers of mapping, the mixing of the first features, modulated layers, the image."""
    first, last = channels[0], channels[-1]
    total = 2 * dense(CODE, CODE) + first * first + dense(CODE, 4)
    for inside, out in zip([first, *channels], channels, strict=False):
        total += conv(inside, out, size) + dense(CODE, inside)
    return total + conv(last, 3, 1) + dense(CODE, last)


def pggan(resolution: int) -> int:
    """A dense layer with a bias per channel, pairs of convolutions, an image everywhere."""
    total, before = 16 * 512 * 512 + 512, 0
    for width in widths(resolution, 16384):
        total += (conv(before, width) if before else 0) + conv(width, width) + conv(width, 3, 1)
        before = width
    return total


def attention(width: int) -> int:
    return 2 * width * (width // 8) + 2 * width * (width // 2) + 1


def wide(stages: tuple[int, ...], channel: int, look: int, codes: tuple[int, int]) -> int:
    """Blocks of two convolutions and a way around; norms and the linear are given `codes`."""
    condition, z_dim = codes
    total = dense(z_dim, 16 * stages[0] * channel)
    for index, (a, b) in enumerate(pairwise(stages)):
        inside, out = a * channel, b * channel
        total += 2 * condition * (inside + out) + attention(out) * (index == look)
        total += conv(inside, out) + conv(out, out) + conv(inside, out, 1)
    return total + 2 * stages[-1] * channel + conv(stages[-1] * channel, 3)


def biggan(resolution: int) -> int:
    stages = STAGES[resolution]
    share = Z_DIMS[resolution] // len(stages)
    return 128 * CLASSES + wide(stages, 96, LOOKS[resolution], (128 + share, share))


def biggan_deep(resolution: int) -> int:
    """As HuggingFace's port stores it: the last convolution gives 128 channels, three are used."""
    total, index = 128 * CLASSES + dense(256, 16 * 2048), 0
    for a, b in pairwise(STAGES[resolution]):
        for inside, out in ((128 * a, 128 * a), (128 * a, 128 * b)):
            middle = inside // 4
            total += 2 * 256 * (inside + 3 * middle) + attention(out) * (index == DEEP_LOOK)
            total += conv(inside, middle, 1) + 2 * conv(middle, middle) + conv(middle, out, 1)
            index += 1
    return total + 2 * 128 + conv(128, 128)


class Case(NamedTuple):
    """A configuration, its published layers' count, and how many of those are not ours.

    `latent`: the totals of styles, rows and noise pixels; `printed`: a total that others give.
    """

    spec: GeneratorSpec
    count: int
    folded: int = 0
    latent: tuple[int, int, int] = (0, 0, 0)
    printed: str = ""


NOISE1 = {256: 174_752, 512: 699_040, 1024: 2_796_192}
NOISE2 = {256: 174_736, 512: 699_024, 1024: 2_796_176}
ROWS = {256: 14, 512: 16, 1024: 18}
STYLES1 = {256: 9984, 512: 10112, 1024: 10176}
STYLES2 = {(256, 32768): 8704, (512, 32768): 8960, (1024, 32768): 9088}
STYLES2 |= {(256, 16384): 7424, (512, 16384): 7552, (1024, 16384): 7616}
STYLES3 = {"t": {256: 6179, 512: 5489, 1024: 4950}, "r": {256: 12354, 512: 10974, 1024: 9894}}
# Sides and channels in the names that the layers of configuration t have in its checkpoints.
NAMES3 = {
    256: "36_512 36_512 36_512 52_512 52_512 84_512 84_512 148_512 148_512 148_362 276_256 276_181 "
    "276_128 256_128 256_3",
    512: "36_512 36_512 52_512 52_512 84_512 84_512 148_512 148_483 276_323 276_215 532_144 532_96 "
    "532_64 512_64 512_3",
    1024: "36_512 36_512 52_512 52_512 84_512 148_512 148_512 276_323 276_203 532_128 1044_81 "
    "1044_51 1044_32 1024_32 1024_3",
}


def old(resolution: int, printed: str = "") -> Case:
    """Its images below the full resolution are left out."""
    lower = sum(conv(width, 3, 1) for width in widths(resolution, 16384)[:-1])
    latent = STYLES1[resolution], ROWS[resolution], NOISE1[resolution]
    return Case(
        published.stylegan1(resolution), stylegan1(resolution), lower, latent, printed=printed
    )


def usual(name: str, resolution: int, base: int, *, mapping: int = 8, printed: str = "") -> Case:
    latent = STYLES2[resolution, base], ROWS[resolution], NOISE2[resolution]
    spec = published.stylegan2(name, resolution, base, mapping)
    return Case(spec, stylegan2(resolution, base, mapping), 0, latent, printed=printed)


def free(kind: str, resolution: int, printed: str = "") -> Case:
    times, size = (1, 3) if kind == "t" else (2, 1)
    cutoffs = [2 * (resolution / 4) ** min(i / 12, 1.0) for i in range(14)]
    channels = [round(min(times * 16384 / cutoff, times * 512)) for cutoff in cutoffs]
    latent = STYLES3[kind][resolution], 16, 0
    spec = published.stylegan3(kind, resolution)
    return Case(spec, stylegan3(channels, size), 0, latent, printed=printed)


CASES = [
    old(256),
    old(512),
    old(1024, "26219627"),
    *(usual("config-e", resolution, 16384) for resolution in (256, 512, 1024)),
    usual("config-f", 256, 32768),
    usual("config-f", 512, 32768),
    usual("config-f", 1024, 32768, printed="30370060"),
    usual("paper256", 256, 16384),
    usual("auto", 256, 16384, mapping=2, printed="23191522"),
    usual("auto", 512, 32768, mapping=2),
    usual("auto", 1024, 32768, mapping=2, printed="28794124"),
    free("t", 256),
    free("t", 512),
    free("t", 1024, "22.3M"),
    *(free("r", resolution) for resolution in (256, 512, 1024)),
    # Ours has a bias for every pixel of the first 4x4, not for every channel.
    Case(published.pggan(1024), pggan(1024), -15 * 512, printed="23079115"),
    Case(published.biggan(128), biggan(128), printed="70433988"),
    Case(published.biggan(256), biggan(256)),
    Case(published.biggan(512), biggan(512)),
    *(
        Case(
            published.biggan_deep(resolution),
            biggan_deep(resolution),
            conv(128, 128) - conv(128, 3),
            printed=printed,
        )
        for resolution, printed in ((128, "50.4M"), (256, "55.9M"), (512, "56.2M"))
    ),
    Case(published.sagan(), wide(STAGES[128], 64, 3, (CLASSES, 128)), printed="42017412"),
]


@lru_cache
def shapes(gen: Generator) -> Params:
    return jax.eval_shape(gen.init, jax.random.key(0))


def code(spec: GeneratorSpec) -> Latents:
    latents: Latents = {"z": jnp.ones(spec.z_dim)}
    return latents | ({"label": jnp.ones(spec.labels)} if spec.labels else {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec.name)
def test_a_published_configuration_has_its_counts_and_draws_its_size(case: Case) -> None:
    gen = build(case.spec)
    params = shapes(gen)
    trained = stored = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        kept = path[-1].key in BUFFERS[case.spec.architecture]
        stored, trained = stored + kept * leaf.size, trained + (not kept) * leaf.size
    assert trained == case.count - case.folded
    assert stored == sum(buffers(case.spec))
    image = jax.eval_shape(gen.synthesize, params, code(case.spec))
    assert image.shape == (case.spec.resolution, case.spec.resolution, 3)


def buffers(spec: GeneratorSpec) -> list[int]:
    """The numbers that training does not move, from the published layers."""
    if spec.architecture == "stylegan3":
        layers = dict(spec.facts)["layers"]
        taps = [(up, down**2 if radial else down) for *_, (up, down), radial, _, _, _ in layers]
        return [3 * layers[0][0], 9, len(layers), *map(sum, taps)]
    if spec.architecture != "biggan":
        return [side * side for side in spec.noise]
    blocks = dict(spec.facts)["blocks"]
    if dict(spec.facts)["deep"]:
        return [2 * (inside + 3 * inside // 4) for inside, _, _ in blocks] + [2 * blocks[-1][1]]
    return [2 * (inside + out) for inside, out, _ in blocks] + [2 * blocks[-1][1]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec.name)
def test_a_published_configuration_has_its_latent_spaces(case: Case) -> None:
    gen = build(case.spec)
    params, styles = shapes(gen), ()
    if case.spec.w_dim:
        w = jnp.ones((case.spec.rows, case.spec.w_dim))
        styles = jax.eval_shape(gen.affine, params, w)
    maps = jax.eval_shape(gen.stored_noise, params)
    pixels = sum(math.prod(one.shape) for one in maps)
    assert (sum(one.size for one in styles), case.spec.rows, pixels) == case.latent
    assert tuple(one.size for one in styles) == case.spec.styles
    assert tuple(one.shape for one in maps) == tuple((side, side) for side in case.spec.noise)


@pytest.mark.parametrize("case", [case for case in CASES if case.printed], ids=lambda c: c.printed)
def test_the_sum_over_the_layers_is_the_printed_total(case: Case) -> None:
    if case.printed.endswith("M"):
        assert f"{case.count / 1e6:.1f}M" == case.printed
    else:
        assert str(case.count) == case.printed


@pytest.mark.parametrize("resolution", NAMES3)
def test_the_layers_of_stylegan3_have_the_sides_and_channels_of_their_names(
    resolution: int,
) -> None:
    gen = build(published.stylegan3("t", resolution))
    found = jax.eval_shape(gen.features, shapes(gen), code(gen.spec))
    sides = [found[name]["x"].shape for name in gen.steps]
    names = [f"{height}_{channels}" for height, _, channels in sides[1:]]
    assert " ".join(names) == NAMES3[resolution]
    assert all(height == width for height, width, _ in sides)
