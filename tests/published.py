"""The published configurations as specs, from the papers' formulas alone: no converter is asked."""

from __future__ import annotations

import math
from itertools import pairwise

from jaxinv.specs import GeneratorSpec

CODE = 512  # numbers of z and w in all StyleGANs and in PGGAN
LAYERS, CRITICAL, MARGIN, TAPS = 14, 2, 10, 6  # of StyleGAN3
FIRST_CUTOFF, FIRST_STOP, LAST_STOP = 2.0, 2**2.1, 2**0.3
CLASSES = 1000


def sides(resolution: int) -> list[int]:
    """4, 8 ... px."""
    return [4 << block for block in range(resolution.bit_length() - 2)]


def widths(resolution: int, base: int) -> list[int]:
    """Channels at 4, 8 ... px: `base` by the side, at most 512."""
    return [min(base // side, 512) for side in sides(resolution)]


def stylegan1(resolution: int) -> GeneratorSpec:
    rows = 2 * len(sides(resolution))
    return GeneratorSpec(
        name=f"stylegan-{resolution}",
        architecture="stylegan1",
        resolution=resolution,
        z_dim=CODE,
        w_dim=CODE,
        rows=rows,
        styles=tuple(2 * width for width in widths(resolution, 16384) for _ in range(2)),
        noise=tuple(side for side in sides(resolution) for _ in range(2)),
        layout18=tuple(range(rows)),
        facts=(("mapping_layers", 8),),
    )


def stylegan2(name: str, resolution: int, base: int, mapping: int = 8) -> GeneratorSpec:
    own = widths(resolution, base)
    pairs = pairwise(own)
    rows = 2 * len(own)
    return GeneratorSpec(
        name=f"{name}-{resolution}",
        architecture="stylegan2",
        resolution=resolution,
        z_dim=CODE,
        w_dim=CODE,
        rows=rows,
        styles=(own[0], own[0], *(n for inside, out in pairs for n in (inside, out, out))),
        noise=(4, *(side for side in sides(resolution)[1:] for _ in range(2))),
        layout18=tuple(range(rows)),
        facts=(("mapping_layers", mapping),),
    )


def pggan(resolution: int) -> GeneratorSpec:
    facts = (("widths", tuple(widths(resolution, 16384))),)
    return GeneratorSpec(f"pggan-{resolution}", "pggan", resolution, CODE, facts=facts)


def stylegan3(kind: str, resolution: int) -> GeneratorSpec:
    """Configuration "t" (3x3 kernels) or "r" (1x1 kernels, round filters, twice the channels)."""
    bands = _Bands(kind, resolution)
    channels = bands.channels
    layers = tuple(bands.layer(index) for index in range(LAYERS + 1))
    return GeneratorSpec(
        name=f"stylegan3-{kind}-{resolution}",
        architecture="stylegan3",
        resolution=resolution,
        z_dim=CODE,
        w_dim=CODE,
        rows=LAYERS + 2,
        styles=(4, channels[0], *channels[:-1]),
        facts=(
            ("grid", (channels[0], bands.side(0), float(bands.rate(0)), FIRST_CUTOFF)),
            ("layers", layers),
            ("mapping_layers", 2),
            ("scale", 0.25),
        ),
    )


class _Bands:
    """Cutoffs, rates, sides and channels after every layer (Karras et al. 2021, appendix C)."""

    def __init__(self, kind: str, resolution: int) -> None:
        self.radial, self.resolution = kind == "r", resolution
        shares = [min(i / (LAYERS - CRITICAL), 1.0) for i in range(LAYERS + 1)]
        half = resolution / 2
        self.cutoffs = [FIRST_CUTOFF * (half / FIRST_CUTOFF) ** share for share in shares]
        last = half * LAST_STOP / FIRST_STOP
        self.stops = [FIRST_STOP * last**share for share in shares]
        times = 1 + self.radial
        found = [round(min(times * 16384 / cutoff, times * 512)) for cutoff in self.cutoffs]
        self.channels = (*found[:-1], 3)

    def rate(self, index: int) -> int:
        return 2 ** math.ceil(math.log2(min(2 * self.stops[index], self.resolution)))

    def side(self, index: int) -> int:
        return self.resolution if index >= LAYERS - 1 else self.rate(index) + 2 * MARGIN

    def layer(self, index: int) -> tuple:
        before, image = max(index - 1, 0), index == LAYERS
        high = max(self.rate(before), self.rate(index)) * (1 if image else 2)
        up, down = high // self.rate(before), high // self.rate(index)
        taps = tuple(TAPS * times if times > 1 else 0 for times in (up, down))
        size = 1 if self.radial or image else 3
        wide = (self.side(before) + size - 1) * up - sum(max(count, 1) - 1 for count in taps)
        total = (self.side(index) - 1) * down + 1 - wide
        low = (total + up) // 2
        return (
            self.channels[before],
            self.channels[index],
            size,
            up,
            down,
            taps,
            self.radial and index < LAYERS - CRITICAL,
            (low, total - low) * 2,
            256.0,
            image,
        )


# Channels between the blocks, in units of the narrowest.
STAGES = {
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
Z_DIMS = {128: 120, 256: 140, 512: 128}  # of BigGAN, a multiple of its shares
LOOKS = {128: 3, 256: 4, 512: 3}  # the block after which BigGAN attends: 64, 128 and 64 px
DEEP_LOOK = 7  # of BigGAN-deep, at 64 px


def biggan(resolution: int) -> GeneratorSpec:
    pairs = pairwise(STAGES[resolution])
    blocks = tuple((96 * inside, 96 * out, True) for inside, out in pairs)
    facts = _facts(blocks, LOOKS[resolution], "split", epsilons=(1e-5, 1e-5))
    return _classes("biggan", resolution, Z_DIMS[resolution], facts)


def biggan_deep(resolution: int) -> GeneratorSpec:
    pairs = pairwise(STAGES[resolution])
    steps = [(a, b, up) for a, out in pairs for b, up in ((a, False), (out, True))]
    blocks = tuple((128 * inside, 128 * out, up) for inside, out, up in steps)
    facts = _facts(blocks, DEEP_LOOK, "joint", epsilons=(1e-4, 1e-4), deep=True)
    return _classes("biggan-deep", resolution, 128, facts)


def sagan() -> GeneratorSpec:
    pairs = zip(STAGES[128], STAGES[128][1:], strict=False)
    blocks = tuple((64 * inside, 64 * out, True) for inside, out in pairs)
    facts = _facts(blocks, LOOKS[128], "class", epsilons=(1e-5, 1e-5), table=False)
    return _classes("sagan", 128, 128, facts, embedding=CLASSES)


def _facts(
    blocks: tuple,
    look: int,
    condition: str,
    *,
    epsilons: tuple[float, float],
    deep: bool = False,
    table: bool = True,
) -> tuple:
    return (
        ("attention", (look,)),
        ("blocks", blocks),
        ("condition", condition),
        ("deep", deep),
        ("epsilons", epsilons),
        ("table", table),
    )


def _classes(
    name: str, resolution: int, z_dim: int, facts: tuple, *, embedding: int = 128
) -> GeneratorSpec:
    return GeneratorSpec(
        name=f"{name}-{resolution}",
        architecture="biggan",
        resolution=resolution,
        z_dim=z_dim,
        labels=CLASSES,
        embedding=embedding,
        prior="truncated_normal" if name == "biggan-deep" else "normal",
        facts=facts,
    )
