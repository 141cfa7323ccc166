"""Discriminators of the BigGAN family, by the names of ajbrock's code.

Other sources are brought to those names and to torch's layout first (see `sagan_discriminators`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.discriminators import averaged
from weights_convert.networks.layouts import kernel
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.networks.spectral import from_half_a_step

Arrays = Mapping[str, np.ndarray]
LOOKS = {"query": "theta", "key": "phi", "value": "g", "out": "o"}
HALVINGS = {32: 2}  # of images of 32 px, which end at 8 px; all others end at 4


def ajbrock(arrays: Arrays, facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]] | None:
    """(nested parameters, plan) for the generator of `facts`, from a D.pth; None: another file.

    Spectral norms start from the stored vectors, as the generator's do.
    """
    if "blocks.0.0.conv1.u0" not in arrays or "embed.weight" not in arrays:
        return None
    return convert(from_half_a_step(arrays), facts)


def convert(
    weights: Arrays, facts: Mapping[str, Any], *, local: bool = False
) -> tuple[dict[str, Any], list[Any]]:
    """(nested parameters, plan) of a discriminator whose spectral norms are folded in.

    `facts` are its generator's; `local` says that its attention is sparse. Raises `UnsafeFileError`
    for arrays that the rules do not cover, and for another number of classes or size of images.
    """
    network = _Network.of(weights, facts["resolution"], facts.get("labels", 0))
    return apply_rules(network.rules(), weights), network.plan(local)


@dataclass(frozen=True)
class _Network:
    """The sizes of a network, read from its arrays, and the table of its rules."""

    deep: bool
    names: list[str]  # of blocks
    blocks: list[tuple[int, int, int, bool]]
    looks: dict[int, str]  # names of attentions, by the block before
    labels: int

    @classmethod
    def of(cls, arrays: Arrays, resolution: int, labels: int) -> _Network:
        deep = "input_conv.weight" in arrays
        halvings = HALVINGS.get(resolution, resolution.bit_length() - 3)
        names: list[str] = []
        blocks: list[tuple[int, int, int, bool]] = []
        looks: dict[int, str] = {}
        last = "conv4" if deep else "conv2"
        try:
            for stage, place, name in _parts(arrays):
                if f"{name}.gamma" in arrays:
                    looks[len(blocks) - 1] = name
                    continue
                middle, inside = arrays[f"{name}.conv1.weight"].shape[:2]
                outside = arrays[f"{name}.{last}.weight"].shape[0]
                blocks.append((inside, middle, outside, stage < halvings and place == 0))
                names.append(name)
            found = arrays["embed.weight"].shape[0]
        except (KeyError, IndexError, ValueError) as error:
            raise UnsafeFileError(f"the discriminator has no {error!s:.80}") from error
        if found != labels:
            raise UnsafeFileError(f"a discriminator of {found} classes; allowed: {labels}")
        if sum(down for *_, down in blocks) != halvings:
            raise UnsafeFileError(f"a discriminator of other images than those of {resolution} px")
        return cls(deep, names, blocks, looks, labels)

    def plan(self, local: bool) -> list[Any]:
        """Kind and fields of a `jaxinv.models.discriminators.residual.Plan`."""
        blocks = [list(block) for block in self.blocks]
        return ["residual", self.deep, blocks, list(self.looks), local]

    def rules(self) -> Iterator[Rule]:
        """The table."""
        if self.deep:
            yield from _conv("image", "input_conv", (3, self.blocks[0][0], 3))
        for index, block in enumerate(self.blocks):
            yield from self._block(f"block{index}", self.names[index], block)
        for index, name in self.looks.items():
            yield from _look(f"attention{index}", name, self.blocks[index][2])
        width = self.blocks[-1][2]
        yield Rule("out/kernel", ("linear.weight",), np.transpose, (width, 1))
        yield Rule("out/bias", ("linear.bias",), np.asarray, (1,))
        yield Rule("classes", ("embed.weight",), np.asarray, (self.labels, width))

    def _block(self, base: str, name: str, block: tuple[int, int, int, bool]) -> Iterator[Rule]:
        inside, middle, outside, down = block
        pairs = (
            [(inside, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, outside, 1)]
            if self.deep
            else [(inside, middle, 3), (middle, outside, 4 if down else 3)]
        )
        for number, sizes in enumerate(pairs, 1):
            yield from _conv(f"{base}/conv{number}", f"{name}.conv{number}", sizes)
        if inside != outside or (down and not self.deep):
            added = outside - inside if self.deep else outside
            yield from _conv(f"{base}/skip", f"{name}.conv_sc", (inside, added, 1))


def _parts(arrays: Arrays) -> Iterator[tuple[int, int, str]]:
    """Stage, place in it and name of every block and attention, in their order."""
    for stage in range(64):
        for place in range(64):
            name = f"blocks.{stage}.{place}"
            if f"{name}.conv1.weight" not in arrays and f"{name}.gamma" not in arrays:
                break
            yield stage, place, name


def _conv(base: str, source: str, sizes: tuple[int, int, int]) -> Iterator[Rule]:
    """A convolution; one of size 4 is a 3x3 and the average of 2x2 pixels behind it."""
    inside, outside, size = sizes
    shape = (inside, outside) if size == 1 else (size, size, inside, outside)

    def transform(x: np.ndarray) -> np.ndarray:
        x = kernel(x, tf=False, flip=False)
        if x.shape[0] == x.shape[1] == 1:
            return x[0, 0]
        return averaged(x) if size == 4 else x

    yield Rule(f"{base}/kernel", (f"{source}.weight",), transform, shape)
    yield Rule(f"{base}/bias", (f"{source}.bias",), np.asarray, (outside,))


def _look(base: str, source: str, width: int) -> Iterator[Rule]:
    for ours, theirs in LOOKS.items():
        own = width // 2 if ours in ("value", "out") else width // 8
        shape = (own, width) if ours == "out" else (width, own)
        weight = (f"{source}.{theirs}.weight",)
        yield Rule(f"{base}/{ours}/kernel", weight, lambda x: x[:, :, 0, 0].T, shape)
    yield Rule(f"{base}/gamma", (f"{source}.gamma",), lambda x: np.reshape(x, ()), ())
