"""How torch and TensorFlow lay out what the progressive family shares."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.rules import Rule

RATE = 0.01  # learning-rate multiplier of every StyleGAN's mapping, folded into its weights
NOISE_SEED = 0  # of the noise maps of files that hold none


def side_of(number: int) -> int:
    """Pixels of layer `number`: 0 at 4 px, then two per resolution."""
    return 4 << ((number + 1) // 2)


@dataclass(frozen=True)
class Layout:
    """How a source stores one of our arrays: ours is gain x (the source's, turned) + bias_offset.

    Axis i of ours is axis `axes[i]` of the source's; `flip` reverses the first two of ours. `ones`
    counts the axes of length 1 that the source writes before and after its own; when reading, the
    ones before may be fewer or more.
    """

    axes: tuple[int, ...]
    gain: float = 1.0
    bias_offset: float = 0.0
    flip: bool = False
    ones: tuple[int, int] = (0, 0)

    def read(self, stored: np.ndarray) -> np.ndarray:
        """The source's array as ours, in float64."""
        end = stored.ndim - self.ones[1]
        own = stored.reshape(stored.shape[end - len(self.axes) : end]).transpose(self.axes)
        return np.float64(self.gain) * self._flipped(own) + self.bias_offset

    def write(self, ours: np.ndarray) -> np.ndarray:
        """Our array as the source's, in float64: the inverse of `read`."""
        stored = (self._flipped(ours) - self.bias_offset) / np.float64(self.gain)
        stored = stored.transpose(np.argsort(self.axes).tolist())
        before, after = self.ones
        return stored.reshape((1,) * before + stored.shape + (1,) * after)

    def _flipped(self, array: np.ndarray) -> np.ndarray:
        return array[::-1, ::-1] if self.flip else array


def permuted(target: str, source: str, shape: tuple[int, ...], layout: Layout) -> Rule:
    """The rule of one array that is stored in `layout`; it can be undone."""
    return Rule(target, (source,), layout.read, shape, layout.write)


def plain(
    target: str,
    source: str,
    shape: tuple[int, ...],
    ones: tuple[int, int] = (0, 0),
    *,
    gain: float = 1.0,
    bias_offset: float = 0.0,
) -> Rule:
    """An array whose axes lie as ours."""
    return permuted(
        target, source, shape, Layout(tuple(range(len(shape))), gain, bias_offset, ones=ones)
    )


def dense(target: str, source: str, shape: tuple[int, int], tf: bool, rate: float = 1.0) -> Rule:
    """A fully connected layer, [in, out] in TensorFlow and [out, in] in torch, with its gain."""
    gain = rate / np.sqrt(shape[0])
    return permuted(target, source, shape, Layout((0, 1) if tf else (1, 0), gain))


def fully_connected(
    index: int, names: tuple[str, str], shape: tuple[int, int], *, tf: bool = False, late: float = 1
) -> Iterator[Rule]:
    """Layer `index` of a mapping from its weight's and bias's names.

    `late` is what our layer multiplies by after the bias and the source's did before it.
    """
    yield dense(f"mapping/fc{index}/kernel", names[0], shape, tf, RATE)
    yield plain(f"mapping/fc{index}/bias", names[1], shape[1:], gain=RATE / late)


class Widths(NamedTuple):
    """The sizes of a mapping: what comes into its first layer, and what every layer gives."""

    fan_in: int
    outs: tuple[int, ...]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], weight: Callable[[int], str], tf: bool) -> Widths:
        """Read from the weights called `weight(0)`, `weight(1)` ...."""
        names = itertools.takewhile(arrays.__contains__, map(weight, range(64)))
        shapes = [arrays[name].shape for name in names]
        return cls(shapes[0][1 - tf], tuple(shape[tf] for shape in shapes))

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], fan_in: int, w_dim: int) -> Widths:
        """The same from the facts of a converted network."""
        hidden = facts.get("mapping_widths") or (w_dim,) * (facts["mapping_layers"] - 1)
        return cls(fan_in, (*hidden, w_dim))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of a mapping; hidden widths only where one is not that of w."""
        *hidden, w_dim = self.outs
        same = all(width == w_dim for width in hidden)
        return {"mapping_layers": len(self.outs)} | ({} if same else {"mapping_widths": hidden})

    def rules(
        self, names: Callable[[int], tuple[str, str]], *, tf: bool = False, late: float = 1
    ) -> Iterator[Rule]:
        """The rules of all layers, from the names of the weight and bias of each."""
        for index, shape in enumerate(itertools.pairwise((self.fan_in, *self.outs))):
            yield from fully_connected(index, names(index), shape, tf=tf, late=late)


def drawn_noise(target: str, side: int, number: int) -> Rule:
    """The rule of noise map `number` for a file that holds none: a normal draw of a fixed seed."""
    draws = np.random.default_rng((NOISE_SEED, number))
    return Rule(target, (), lambda: draws.standard_normal((side, side)), (side, side))


def coloured(*rules: Rule) -> Iterator[Rule]:
    """`rules` of one layer that draws the image: a grey channel is written as three equal ones.

    They raise `UnsafeFileError` for other channels, and where one has more than another.
    """
    counts: set[int] = set()

    def with_colours(transform: Callable[..., np.ndarray], *stored: np.ndarray) -> np.ndarray:
        ours = transform(*stored)
        counts.add(ours.shape[-1])
        check_channels(ours.shape[-1])
        if len(counts) > 1:
            raise UnsafeFileError(f"an image of {sorted(counts)} channels at once; supported: one")
        return np.repeat(ours, 3, -1) if ours.shape[-1] == 1 else ours

    return (replace(rule, transform=partial(with_colours, rule.transform)) for rule in rules)


def check_channels(count: int) -> None:
    """Raise `UnsafeFileError` unless images of so many channels can be drawn."""
    if count not in (1, 3):
        raise UnsafeFileError(
            f"the generator draws images of {count} channels; "
            "supported: 1 (grey) and 3 (red, green, blue)"
        )


def check_square(const: np.ndarray) -> None:
    """Raise `UnsafeFileError` unless a constant [..., h, w] begins square images of 2^n pixels."""
    if const.shape[-2:] != (4, 4):
        raise UnsafeFileError(
            f"the generator starts from a constant of {' x '.join(map(str, const.shape[-2:]))} "
            "pixels (height x width); supported: 4 x 4, for square images"
        )


def convolution(*, tf: bool, flip: bool, gain: float = 1.0, batched: bool = False) -> Layout:
    """[h, w, in, out] of a correlation, stored as HWIO or as OIHW, maybe with one axis before."""
    axes = (0, 1, 2, 3) if tf else (2, 3, 1, 0)
    return Layout(axes, gain, flip=flip, ones=(int(batched), 0))


def kernel(x: np.ndarray, *, tf: bool, flip: bool) -> np.ndarray:
    """[h, w, in, out] of a correlation, from OIHW (maybe with leading axes) or HWIO."""
    return convolution(tf=tf, flip=flip).read(x)


def without_filters(
    arrays: Mapping[str, np.ndarray], taps: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """`arrays` without those that hold a filter, which must be that of `taps` along both axes.

    Its gain may be any. Raises `UnsafeFileError` for another filter.
    """
    expected = square_filter(taps)
    return {n: a for n, a in arrays.items() if not _is_filter(n, a, expected)}


def square_filter(taps: tuple[int, ...]) -> np.ndarray:
    """The filter of `taps` along both axes, with sum 1."""
    return np.outer(taps, taps) / sum(taps) ** 2


def _is_filter(name: str, array: np.ndarray, expected: np.ndarray) -> bool:
    if not name.endswith(("resample_filter", "kernel", "Resampler.Kernel")):
        return False
    square = array.shape[-2:] == expected.shape
    gains = array.sum((-1, -2), keepdims=True) if square else array
    if not square or not np.allclose(array, gains * expected, atol=1e-6):
        raise UnsafeFileError(f"{name}: another filter than the usual one; allowed: that one")
    return True
