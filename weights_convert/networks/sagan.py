"""SAGAN of its authors' TensorFlow code (Zhang et al. 2019) as a BigGAN without class vectors.

The same blocks; a class chooses rows of gains and shifts, where ours add 1 to a gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import coloured, convolution, permuted, plain
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.networks.spectral import from_last_axis

Arrays = dict[str, np.ndarray]
AVERAGE = "/ExponentialMovingAverage"
EPSILON = 1e-5
LOOK = 2  # the block before the attention, usually: it stands at 32 px
_FIRST = "g_snh0/Matrix"
_LOOK = "sn_conv_theta/w"
_LOOKS = {"query": "theta", "key": "phi", "value": "g", "out": "attn"}


def find(tree: Any) -> Arrays | None:
    """The generator's variables without their scope, averaged where averages are; None: no SAGAN.

    The discriminator's, and what an optimiser keeps beside a variable, are left out. The scope of
    the attention becomes "look".
    """
    found = variables(tree, _FIRST, "g_")
    return None if found is None else looking(found[1])


def variables(tree: Any, first: str, start: str) -> tuple[str, Arrays] | None:
    """The one scope that holds a variable `first`, and those of its variables that begin so."""
    if not isinstance(tree, Mapping):
        return None
    named = {n: a for n, a in tree.items() if isinstance(n, str) and isinstance(a, np.ndarray)}
    arrays = _averages(named)
    scopes = [name.removesuffix(first) for name in arrays if f"/{name}".endswith(f"/{first}")]
    if len(scopes) != 1:
        return None
    own = {n.removeprefix(scopes[0]): a for n, a in arrays.items() if n.startswith(scopes[0])}
    return scopes[0], {name: array for name, array in own.items() if name.startswith(start)}


def looking(own: Arrays) -> Arrays:
    """The same with the scope of the attention called "look"."""
    look = next((n.removesuffix(_LOOK) for n in own if n.endswith(f"/{_LOOK}")), "look/")
    return {
        f"look/{name.removeprefix(look)}" if name.startswith(look) else name: array
        for name, array in own.items()
    }


def _averages(arrays: Arrays) -> Arrays:
    plainly = {
        name: array
        for name, array in arrays.items()
        if name.rpartition("/")[0] not in arrays and not name.endswith(AVERAGE)
    }
    averaged = {n.removesuffix(AVERAGE): a for n, a in arrays.items() if n.endswith(AVERAGE)}
    return plainly | averaged


def convert(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) of what `find` found.

    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    return converted(from_last_axis(arrays), EPSILON)


def converted(
    weights: Arrays, epsilon: float, **more: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of weights whose spectral norms are folded in; `more` are facts of the network."""
    network = _Network.of(weights)
    return apply_rules(network.rules(), weights), network.facts(epsilon, more)


def place(widths: list[int], weights: Arrays, usual: int) -> int | None:
    """The block, of those that end in `widths`, behind which "look" stands; None: there is none.

    Its channels say so; of several blocks with as many, it is the `usual` one. Raises
    `UnsafeFileError` if there is no such block.
    """
    if f"look/{_LOOK}" not in weights:
        return None
    inputs = weights[f"look/{_LOOK}"].shape[2]
    fitting = [index for index, width in enumerate(widths) if width == inputs]
    if usual in fitting:
        return usual
    if len(fitting) != 1:
        raise UnsafeFileError(f"attention over {inputs} channels; allowed: {widths}, one of them")
    return fitting[0]


@dataclass(frozen=True)
class _Network:
    """The sizes of a network, and the names that may differ."""

    blocks: list[tuple[int, int]]
    z_dim: int
    labels: int
    look: int | None
    bias: str
    mean: str
    variance: str

    @classmethod
    def of(cls, arrays: Arrays) -> _Network:
        count = sum(f"g_block{number}/snconv1/w" in arrays for number in range(1, 64))
        kernels = [arrays[f"g_block{number}/snconv1/w"] for number in range(1, count + 1)]
        blocks: list[tuple[int, int]] = [kernel.shape[2:] for kernel in kernels]
        if not blocks:
            raise UnsafeFileError("the source has no g_block1/snconv1/w")
        return cls(
            blocks=blocks,
            z_dim=arrays[_FIRST].shape[0],
            labels=arrays["g_block1/cbn_0/gamma"].shape[0],
            look=place([outside for _, outside in blocks], arrays, LOOK),
            bias=_either(arrays, "g_snh0/", "bias", "biases"),
            mean=_either(arrays, "g_bn/", "mean", "moving_mean"),
            variance=_either(arrays, "g_bn/", "var", "moving_variance"),
        )

    def facts(self, epsilon: float, more: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of the `GeneratorSpec`."""
        return {
            "architecture": "biggan",
            "resolution": 4 << len(self.blocks),
            "z_dim": self.z_dim,
            "labels": self.labels,
            "embedding": self.labels,
            "facts": [
                ["attention", [] if self.look is None else [self.look]],
                ["blocks", [[*block, True] for block in self.blocks]],
                ["condition", "class"],
                ["deep", False],
                ["epsilons", [epsilon, epsilon]],
                ["table", False],
                *([name, value] for name, value in more.items()),
            ],
        }

    def rules(self) -> Iterator[Rule]:
        """The table."""
        count = 16 * self.blocks[0][0]  # [4, 4, channels]
        yield plain("synthesis/linear/kernel", _FIRST, (self.z_dim, count))
        yield plain("synthesis/linear/bias", self.bias, (count,))
        for index, block in enumerate(self.blocks):
            yield from self._block(f"synthesis/block{index}", f"g_block{index + 1}", block)
        if self.look is not None:
            yield from _look(f"synthesis/attention{self.look}", self.blocks[self.look][1])
        width = self.blocks[-1][1]
        yield plain("synthesis/norm/gain", "g_bn/gamma", (width,), (3, 0))
        yield plain("synthesis/norm/shift", "g_bn/beta", (width,), (3, 0))
        yield plain("synthesis/norm/mean", self.mean, (width,), (3, 0))
        yield plain("synthesis/norm/variance", self.variance, (width,), (3, 0))
        yield from coloured(*_conv("synthesis/image", "g_snconv_last", (3, 3, width, 3)))

    def _block(self, base: str, source: str, block: tuple[int, int]) -> Iterator[Rule]:
        inside, outside = block
        for number, width in enumerate(block):
            yield from self._norm(f"{base}/norm{number + 1}", f"{source}/cbn_{number}", width)
        yield from _conv(f"{base}/conv1", f"{source}/snconv1", (3, 3, inside, outside))
        yield from _conv(f"{base}/conv2", f"{source}/snconv2", (3, 3, outside, outside))
        yield from _conv(f"{base}/skip", f"{source}/snconv3", (inside, outside))

    def _norm(self, base: str, source: str, width: int) -> Iterator[Rule]:
        table = (self.labels, width)
        yield plain(f"{base}/gain/kernel", f"{source}/gamma", table, bias_offset=-1.0)
        yield plain(f"{base}/shift/kernel", f"{source}/beta", table)
        yield plain(f"{base}/mean", f"{source}/mean", (width,), (3, 0))
        yield plain(f"{base}/variance", f"{source}/var", (width,), (3, 0))


def _either(arrays: Arrays, scope: str, *names: str) -> str:
    return scope + next((name for name in names if scope + name in arrays), names[0])


def _conv(base: str, source: str, shape: tuple[int, ...]) -> Iterator[Rule]:
    """A convolution; without sizes of a kernel, one of single pixels."""
    kernel = f"{base}/kernel", f"{source}/w", shape
    yield (
        permuted(*kernel, convolution(tf=True, flip=False)) if shape[2:] else plain(*kernel, (2, 0))
    )
    yield plain(f"{base}/bias", f"{source}/biases", shape[-1:])


def _look(base: str, width: int) -> Iterator[Rule]:
    for ours, theirs in _LOOKS.items():
        own = width // 2 if ours in ("value", "out") else width // 8
        shape = (own, width) if ours == "out" else (width, own)
        yield plain(f"{base}/{ours}/kernel", f"look/sn_conv_{theirs}/w", shape, (2, 0))
    yield plain(f"{base}/gamma", "look/sigma_ratio", ())
