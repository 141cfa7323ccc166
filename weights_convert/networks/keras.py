"""Generators that Keras saved as a Sequential: a chain of layers, read from its configuration.

The file does not say what z was drawn from: a normal distribution, as nearly everywhere.
Batch normalisation is folded into the layer before it, where nothing stands between them; behind
an activation it becomes a step of its own, because a shift cannot be folded into a convolution that
pads with zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.chains import with_classes
from weights_convert.networks.layouts import check_channels
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.readers.keras_config import Config

Arrays = Mapping[str, np.ndarray]
MAX_SIDE = 4096
WEIGHTED = ("dense", "conv", "up")
# What stands for a part that a batch normalisation was built without.
CONSTANTS = {"one": np.ones(()), "zero": np.zeros(())}


@dataclass
class Part:
    """A `jaxinv.nn.layer_chain.Layer` in the making."""

    kind: str
    channels: int
    side: int = 0
    size: int = 0
    stride: int = 1
    padding: int = 0
    activation: str = "none"
    slope: float = 0.2
    fan_in: int = 0
    sources: tuple[str, ...] = ()  # names of kernel and bias
    place: Callable[[np.ndarray], np.ndarray] = np.asarray
    norm: tuple[str, ...] = ()  # names of its factor, shift, mean and variance
    epsilon: float = 0.0

    def layer(self) -> list[Any]:
        """The fields of the `Layer`."""
        sizes = [self.side, self.size, self.stride, self.padding, self.slope]
        return [self.kind, self.channels, self.activation, *sizes]

    def rules(self, base: str) -> Iterator[Rule]:
        """How its parameters are made."""
        if self.kind not in (*WEIGHTED, "scale"):
            return
        kernel, bias = self.sources or ("", "zero")
        shape = (self.channels,)
        if self.kind == "scale":
            yield Rule(f"{base}/scale", self.norm, self._factor, shape)
        else:
            square = () if self.kind == "dense" else (self.size, self.size)
            inner = (*square, self.fan_in, self.channels)
            yield Rule(f"{base}/kernel", (kernel, *self.norm), self._folded, inner)
        yield Rule(f"{base}/bias", (bias, *self.norm), self._shifted, shape)

    def _factor(self, *norm: np.ndarray) -> Any:
        if not norm:
            return 1.0
        gamma, _, _, variance = (self._sized(array) for array in norm)
        with np.errstate(all="ignore"):  # what is not finite is refused with its name
            return gamma / np.sqrt(variance.astype(np.float64) + self.epsilon)

    def _folded(self, kernel: np.ndarray, *norm: np.ndarray) -> np.ndarray:
        return self._sized(self.place(kernel)) * self._factor(*norm)

    def _shifted(self, own: np.ndarray, *norm: np.ndarray) -> np.ndarray:
        own = self._sized(own) if own.ndim else np.zeros(self.channels)
        if not norm:
            return own
        _, beta, mean, _ = norm
        return (own - mean) * self._factor(*norm) + beta

    def _sized(self, array: np.ndarray) -> np.ndarray:
        # Nothing may be stretched to the channels but a constant.
        if array.ndim and array.shape[-1] != self.channels:
            raise ValueError(f"{array.shape[-1]} channels; allowed: {self.channels}")
        return array


@dataclass
class Chain:
    """What was read so far: parts, and the shape that the next layer is given."""

    shape: tuple[int, ...]
    parts: list[Part] = field(default_factory=list)

    def square(self, config: Config) -> tuple[int, int]:
        """Side and channels of an image."""
        if len(self.shape) != 3:
            raise UnsafeFileError(f"{config.name}: given shape {self.shape}; allowed: an image")
        return self.shape[0], self.shape[2]

    def weighted(self, config: Config, part: Part, shape: tuple[int, ...]) -> None:
        """Append a layer with a kernel, and its activation."""
        has_bias = config.one_of("use_bias", (True, False), True)
        part.fan_in = self.shape[-1]
        part.sources = (f"{config.name}/kernel", f"{config.name}/bias" if has_bias else "zero")
        self.parts.append(part)
        self.shape = shape
        self.activate(config)

    # --- layers -----------------------------------------------------------------------------------

    def skip(self, config: Config) -> None:
        """A layer that does nothing when a picture is drawn."""
        del config

    def dense(self, config: Config) -> None:
        """Dense: [n] -> [units]."""
        if len(self.shape) != 1:
            raise UnsafeFileError(f"{config.name}: given shape {self.shape}; allowed: a vector")
        units = config.sizes("units", 1)
        self.weighted(config, Part("dense", units[0]), units)

    def reshape(self, config: Config) -> None:
        """Reshape: [n] -> [side, side, channels]."""
        side, width, channels = shape = config.sizes("target_shape", 3)
        if side != width or math.prod(shape) != math.prod(self.shape):
            raise config.refuse(
                "target_shape", f"a square image of {math.prod(self.shape)} numbers"
            )
        self.parts.append(Part("reshape", channels, side))
        self.shape = shape

    def convolution(self, config: Config) -> None:
        """Conv2D, stride 1. "same" pads before with half of size - 1, rounded down."""
        side, _ = self.square(config)
        config.plain()
        config.one_of("groups", (1,), 1)
        if config.side("strides") != 1:
            raise config.refuse("strides", "1")
        (channels,), size = config.sizes("filters", 1), config.side("kernel_size")
        same = config.one_of("padding", ("same", "valid")) == "same"
        # A row of zeros before an even kernel makes the padding the same on all sides.
        extra = int(same and size % 2 == 0)
        after = side if same else side - size + 1
        part = Part("conv", channels, 0, size + extra, 1, size // 2 if same else 0)
        part.place = lambda x: np.pad(x, ((extra, 0), (extra, 0), (0, 0), (0, 0)))
        self.weighted(config, part, (after, after, channels))

    def transposed(self, config: Config) -> None:
        """Conv2DTranspose: the gradient of a Conv2D. "same" cuts half of size - stride before."""
        side, _ = self.square(config)
        config.plain()
        config.one_of("output_padding", (None,))
        (channels,), size = config.sizes("filters", 1), config.side("kernel_size")
        stride = config.side("strides")
        if stride > size:
            raise config.refuse("strides", f"at most kernel_size, {size}")
        same = config.one_of("padding", ("same", "valid")) == "same"
        after = side * stride if same else (side - 1) * stride + size
        part = Part("up", channels, after, size, stride, (size - stride) // 2 if same else 0)
        part.place = lambda x: x[::-1, ::-1].swapaxes(2, 3)
        self.weighted(config, part, (after, after, channels))

    def normalisation(self, config: Config) -> None:
        """BatchNormalization of the last axis, by its running statistics."""
        axis, last = config.facts.get("axis", -1), len(self.shape)
        if axis not in (-1, last, [-1], [last]):
            raise config.refuse("axis", f"{last}, the last")
        gamma = f"{config.name}/gamma" if config.one_of("scale", (True, False), True) else "one"
        beta = f"{config.name}/beta" if config.one_of("center", (True, False), True) else "zero"
        running = (f"{config.name}/moving_mean", f"{config.name}/moving_variance")
        part = self.parts[-1] if self.parts else None
        if not part or part.kind not in WEIGHTED or part.activation != "none" or part.norm:
            part = Part("scale", self.shape[-1])
            self.parts.append(part)
        part.norm, part.epsilon = (gamma, beta, *running), config.number("epsilon", 0.001)

    def nearest(self, config: Config) -> None:
        """UpSampling2D, nearest."""
        side, channels = self.square(config)
        config.one_of("interpolation", ("nearest",), "nearest")
        config.one_of("data_format", ("channels_last",), "channels_last")
        factor = config.side("size")
        self.parts.append(Part("nearest", channels, size=factor))
        self.shape = (side * factor, side * factor, channels)

    def activate(self, config: Config) -> None:
        """The activation that a layer names, or is: of the part before."""
        name, slope = config.activation()
        if name == "none":
            return
        if not self.parts or self.parts[-1].activation != "none":
            raise UnsafeFileError(f"{config.name}: {name} here; allowed: one behind each layer")
        self.parts[-1].activation, self.parts[-1].slope = name, slope


LAYERS: dict[str, Callable[[Chain, Config], None]] = {
    "Dense": Chain.dense,
    "Reshape": Chain.reshape,
    "Conv2D": Chain.convolution,
    "Conv2DTranspose": Chain.transposed,
    "UpSampling2D": Chain.nearest,
    "BatchNormalization": Chain.normalisation,
    "Activation": Chain.activate,
    "ReLU": Chain.activate,
    "LeakyReLU": Chain.activate,
    "Dropout": Chain.skip,
    "InputLayer": Chain.skip,
}


def find(tree: Any) -> Any:
    """(layers of a Sequential, the groups of its weights) of a saved model; None for another tree.

    Raises `UnsafeFileError` for a model of another kind.
    """
    config = tree.get("model_config") if isinstance(tree, dict) else None
    weights = tree.get("weights") if isinstance(tree, dict) else None
    groups = weights.get("model_weights") if isinstance(weights, dict) else None
    if not isinstance(config, dict) or not isinstance(groups, dict):
        return None
    if (kind := config.get("class_name")) != "Sequential":
        raise UnsafeFileError(f"Keras model of class {kind!r:.80}; allowed: Sequential")
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner  # a list before 2019
    if not isinstance(layers, list) or not layers:
        raise UnsafeFileError("model_config: a Sequential without layers")
    return layers, groups


def convert(found: Any, classes: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) of what `find` gave.

    The last inputs are so many `classes`. Raises `UnsafeFileError` for a layer that the chain does
    not know, for arrays that it does not cover and for sizes that do not fit.
    """
    configs, groups = [Config(layer) for layer in found[0]], found[1]
    chain = Chain(_input(configs[0]))
    z_dim = chain.shape[0]
    for config in configs:
        if config.kind not in LAYERS:
            raise UnsafeFileError(
                f"{config.name}: a layer {config.kind!r:.80}; allowed: {', '.join(LAYERS)}"
            )
        LAYERS[config.kind](chain, config)
    resolution = _resolution(chain)
    weights = _weights(groups, [config.name for config in configs])
    rules = [rule for i, part in enumerate(chain.parts) for rule in part.rules(f"layer{i}")]
    params = {"synthesis": apply_rules(rules, weights, CONSTANTS)}
    facts = {
        "architecture": "dcgan",
        "resolution": resolution,
        "z_dim": z_dim,
        "prior": "normal",
        "facts": [["layers", [part.layer() for part in chain.parts]]],
    }
    return params, with_classes(facts, classes)


def _input(first: Config) -> tuple[int, ...]:
    fact = "batch_shape" if "batch_shape" in first.facts else "batch_input_shape"
    shape = first.facts.get(fact)
    if not isinstance(shape, list) or len(shape) != 2:
        raise first.refuse(fact, "[None, z_dim]")
    return Config({"config": first.facts | {fact: shape[1:]}}).sizes(fact, 1)


def _resolution(chain: Chain) -> int:
    """The side of the images, which must be images in a known range."""
    if len(chain.shape) != 3 or chain.shape[0] > MAX_SIDE:
        raise UnsafeFileError(
            f"pictures of shape {chain.shape}; allowed: 1 or 3 channels of at most {MAX_SIDE} px"
        )
    check_channels(chain.shape[2])
    parts = [part for part in chain.parts if part.kind != "reshape" or part.activation != "none"]
    *inner, last = [part.activation for part in parts]
    if last not in ("tanh", "sigmoid") or "sigmoid" in inner:
        raise UnsafeFileError(
            f"activations {', '.join((*inner, last))}; allowed: tanh or sigmoid at the end, "
            "and sigmoid nowhere else"
        )
    return chain.shape[0]


def _weights(groups: Mapping[str, Any], layers: list[str]) -> dict[str, np.ndarray]:
    """Arrays as "layer/kernel"; one that belongs to no layer keeps its path."""
    found: dict[str, np.ndarray] = {}
    for path, array in _paths(groups, ""):
        owners = [layer for layer in layers if path.startswith(f"{layer}/")]
        end = path.rpartition("/")[2].partition(":")[0]
        name = f"{max(owners, key=len)}/{end}" if owners else path
        if name in found:
            raise UnsafeFileError(f"two arrays are {name!r:.200}")
        found[name] = array
    return found


def _paths(groups: Mapping[str, Any], base: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in groups.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{base}{name}/")
        else:
            yield f"{base}{name}", value
