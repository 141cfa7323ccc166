"""The first StyleGAN of rosinality's style-based-gan-pytorch, a close relative of the original.

All learning rates are equalised with the gain sqrt(2), also of styles, noise and the image; biases
stand before the smoothing; instance norms have another epsilon. A file holds layers up to 1024 px,
trained or not, and no noise.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import (
    NOISE_SEED,
    Widths,
    check_square,
    coloured,
    kernel,
    square_filter,
)
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
CONST = "generator.progression.0.conv1.input"
EPSILON = 1e-5


def convert(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    The resolution is the last whose layers have learnt anything: strengths of noise start at zero.
    Its two noise maps per resolution, which the code draws anew for every image, are one and the
    same normal draw. Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    held = {n: a for n, a in arrays.items() if not _is_filter(n, a)}
    try:
        network = _Network.of(held)
    except (KeyError, IndexError) as error:
        raise UnsafeFileError(f"the source has no {error.args[0]!s:.80}") from error
    weights = {n: a for n, a in held.items() if not network.unused(n)}
    return apply_rules(network.rules(), weights), network.facts()


def _is_filter(name: str, array: np.ndarray) -> bool:
    """Whether it is the smoothing filter, once for every channel; no other is allowed."""
    found = re.fullmatch(r"generator\.progression\.\d+\.conv1\.(\d)\.weight(_flip)?", name)
    if found is None or array.ndim != 4 or array.shape[1] != 1 or found[1] == "0":
        return False
    if array.shape[2:] != (3, 3) or not np.allclose(array, square_filter((1, 2, 1)), atol=1e-6):
        raise UnsafeFileError(f"{name[:80]}: another filter than [1, 2, 1]")
    return True


@dataclass(frozen=True)
class _Network:
    """The sizes of a network, read from its arrays."""

    mapping: Widths
    widths: tuple[int, ...]
    fused: tuple[bool, ...]

    @classmethod
    def of(cls, arrays: Arrays) -> _Network:
        strengths = [f"generator.progression.{i}.noise1.weight_orig" for i in range(16)]
        learnt = [i for i, name in enumerate(strengths) if np.any(arrays.get(name, 0))]
        if not learnt:
            raise UnsafeFileError("no layer of any resolution is trained")
        count = learnt[-1] + 1
        widths = tuple(arrays[name].shape[1] for name in strengths[:count])
        check_square(arrays[CONST])
        mapping = Widths.of(arrays, lambda i: f"style.{2 * i + 1}.linear.weight_orig", tf=False)
        fused = tuple(f"generator.progression.{i}.conv1.0.weight" in arrays for i in range(count))
        return cls(mapping, widths, fused)

    @property
    def width(self) -> int:
        """That of w."""
        return self.mapping.outs[-1]

    def unused(self, name: str) -> bool:
        """Whether it belongs to a resolution beyond, or draws the image of another."""
        found = re.match(r"generator\.(progression|to_rgb)\.(\d+)\.", name)
        if found is None:
            return False
        last = len(self.widths) - 1
        return int(found[2]) > last or (found[1] == "to_rgb" and int(found[2]) != last)

    def facts(self) -> dict[str, Any]:
        """Fields of the `GeneratorSpec`."""
        rows = 2 * len(self.widths)
        own = {"early_bias": True, "epsilon": EPSILON, "noise_seed": NOISE_SEED}
        own |= self.mapping.facts
        return {
            "architecture": "stylegan1",
            "resolution": 2 << len(self.widths),
            "z_dim": self.mapping.fan_in,
            "w_dim": self.width,
            "rows": rows,
            "styles": [2 * width for width in self.widths for _ in range(2)],
            "noise": [4 << (n // 2) for n in range(rows)],
            "layout18": list(range(rows)) if rows <= 18 else [],
            "facts": sorted(own.items()),
        }

    def rules(self) -> Iterator[Rule]:
        """The table: mapping, constant, layers, image."""
        sizes = itertools.pairwise((self.mapping.fan_in, *self.mapping.outs))
        for i, (inside, outside) in enumerate(sizes):
            # Ours multiplies by sqrt(2) behind the activation.
            source, base = f"style.{2 * i + 1}.linear", f"mapping/fc{i}"
            yield _linear(f"{base}/kernel", source, (inside, outside), inside**-0.5)
            yield Rule(f"{base}/bias", (f"{source}.bias",), lambda b: b / 2**0.5, (outside,))
        first, last = self.widths[0], self.widths[-1]
        yield Rule("synthesis/const", (CONST,), lambda x: x[0].transpose(1, 2, 0), (4, 4, first))
        yield Rule("synthesis/b4_const/bias", (), lambda: np.zeros(first), (first,))
        draws = np.random.default_rng(NOISE_SEED)
        for block, width in enumerate(self.widths):
            noise = draws.standard_normal((4 << block, 4 << block))
            for second in (0, 1):
                base = f"synthesis/b{4 << block}_conv{second}"
                base = "synthesis/b4_const" if block == second == 0 else base
                yield from self._layer(base, block, second)
                yield Rule(f"{base}/noise", (), lambda n=noise: n, noise.shape)
                yield from self._style(base, f"generator.progression.{block}", second + 1, width)
        image = f"generator.to_rgb.{len(self.widths) - 1}.conv"
        yield from coloured(
            _linear("synthesis/weight", image, (last, 3), (2 / last) ** 0.5),
            Rule("synthesis/bias", (f"{image}.bias",), np.asarray, (3,)),
        )

    def _layer(self, base: str, block: int, second: int) -> Iterator[Rule]:
        """The convolution, but for the first layer."""
        if block == second == 0:
            return
        outside, fused = self.widths[block], self.fused[block] and not second
        inside = outside if second else self.widths[block - 1]
        gain = (2 / (9 * inside)) ** 0.5
        source = f"generator.progression.{block}.conv{second + 1}"
        source += "" if second else ".0" if fused else ".1"
        source += "" if fused else ".conv"
        weight = f"{source}.weight" + ("" if fused else "_orig")

        def transform(x: np.ndarray) -> np.ndarray:
            if not fused:
                return gain * kernel(x, tf=False, flip=False)
            # A transposed convolution [in, out] with the mean of four shifts; see `stylegan1`.
            return gain / 4 * kernel(x.swapaxes(0, 1), tf=False, flip=True)

        yield Rule(f"{base}/kernel", (weight,), transform, (3, 3, inside, outside))
        yield Rule(f"{base}/bias", (f"{source}.bias",), np.asarray, (outside,))

    def _style(self, base: str, source: str, number: int, width: int) -> Iterator[Rule]:
        gain = (2 / width) ** 0.5
        strength = (f"{source}.noise{number}.weight_orig",)
        yield Rule(f"{base}/strength", strength, lambda x: gain * x.ravel(), (width,))
        style = f"{source}.adain{number}.style.linear"
        shape = (self.width, 2 * width)
        yield _linear(f"{base}/style/kernel", style, shape, (2 / self.width) ** 0.5)
        ones = np.repeat([1.0, 0.0], width)  # ours adds 1 to the scale
        yield Rule(f"{base}/style/bias", (f"{style}.bias",), lambda b: b - ones, (2 * width,))


def _linear(target: str, source: str, shape: tuple[int, int], gain: float) -> Rule:
    """[in, out] of a fully connected or pointwise layer."""
    weight = (f"{source}.weight_orig",)
    return Rule(target, weight, lambda x: gain * x.reshape(x.shape[:2]).T, shape)
