"""BigGAN, BigGAN-deep and SAGAN from ajbrock's code and from HuggingFace's port.

A `Naming` says how a source calls things and in which order it joins z and the class vector; one
table of rules serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import coloured, kernel
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.networks.spectral import from_half_a_step, from_stored_vectors

Arrays = Mapping[str, np.ndarray]
LAST_EPSILON = 1e-5  # of ajbrock's last normalisation, whatever the others have
DEPTH = 2  # blocks per resolution of ajbrock's deep networks, of which the last one doubles


@dataclass(frozen=True)
class Naming:
    """Names and conventions of one source; blocks, convolutions and norms count from 0.

    `attention` is that after a block, "" if there can be none. `z_first`: z stands before the class
    vector. `nhwc`: the first layer gives [4, 4, C], not [C, 4, 4]. `tables`: there are statistics
    for many truncations, from 0 to 1.
    """

    linear: str
    block: Callable[[int], str]
    attention: Callable[[int], str]
    looks: tuple[str, str, str, str]
    conv: Callable[[int], str]
    norm: Callable[[int], str]
    gain: str
    shift: str
    mean: str
    variance: str
    last: str
    last_gain: str
    last_shift: str
    image: str
    classes: str
    z_first: bool = False
    nhwc: bool = False
    tables: bool = False


AJBROCK = Naming(
    linear="linear",
    block=lambda i: f"blocks.{i}.0",
    attention=lambda i: f"blocks.{i}.1",
    looks=("theta", "phi", "g", "o"),
    conv=lambda n: f"conv{n + 1}",
    norm=lambda n: f"bn{n + 1}",
    gain="gain",
    shift="bias",
    mean="stored_mean",
    variance="stored_var",
    last="output_layer.0",
    last_gain="gain",
    last_shift="bias",
    image="output_layer.2",
    classes="shared.weight",
)


def huggingface(position: int) -> Naming:
    """The names of the port, whose attention is layer number `position` among the blocks."""
    return Naming(
        linear="generator.gen_z",
        block=lambda i: f"generator.layers.{i + (i >= position)}",
        attention=lambda i: f"generator.layers.{position}" if i + 1 == position else "",
        looks=("snconv1x1_theta", "snconv1x1_phi", "snconv1x1_g", "snconv1x1_o_conv"),
        conv=lambda n: f"conv_{n}",
        norm=lambda n: f"bn_{n}",
        gain="scale",
        shift="offset",
        mean="running_means",
        variance="running_vars",
        last="generator.bn",
        last_gain="weight",
        last_shift="bias",
        image="generator.conv_to_rgb",
        classes="embeddings.weight",
        z_first=True,
        nhwc=True,
        tables=True,
    )


Converted = tuple[dict[str, Any], dict[str, Any]]


def convert_ajbrock(arrays: Arrays, depth: int = DEPTH, epsilon: float = LAST_EPSILON) -> Converted:
    """(nested parameters, facts of the `GeneratorSpec`).

    `depth` and `epsilon` (of the normalisations) are not in the file; the defaults are the code's.
    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = _plain_statistics(from_half_a_step(arrays))
    deep = "blocks.0.0.conv4.weight" in weights
    count = sum(f"blocks.{i}.0.conv1.weight" in weights for i in range(64))
    ups = [not deep or i % depth == depth - 1 for i in range(count)]
    network = _Network.of(weights, AJBROCK, ups, (epsilon, LAST_EPSILON))
    return network.converted(weights)


def convert_huggingface(arrays: Arrays, config: Mapping[str, Any]) -> Converted:
    """The same of the port's state dict and its config.json."""
    weights = from_stored_vectors(arrays)
    try:
        ups = [bool(up) for up, _, _ in config["layers"]]
        position, epsilon = int(config["attention_layer_position"]), float(config["eps"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnsafeFileError(f"config.json is not a BigGAN's: {error!r:.80}") from error
    network = _Network.of(weights, huggingface(position), ups, (epsilon, epsilon))
    return network.converted(weights)


def _plain_statistics(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The statistics of ajbrock's other normalisations under the names of the plain one.

    Its own one ("mybn") may hold standing statistics, sums over `accumulation_counter` batches; the
    synchronised one calls them `running_mean` and `running_var`.
    """
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        base, _, leaf = name.rpartition(".")
        if leaf in ("accumulation_counter", "num_batches_tracked"):
            continue
        if base.endswith(".bn"):
            count = float(arrays.get(f"{base}.accumulation_counter", np.zeros(1)).ravel()[0])
            leaf = leaf.replace("running", "stored")
            found[f"{base.removesuffix('.bn')}.{leaf}"] = array / count if count else array
        else:
            found[name] = array
    return found


@dataclass(frozen=True)
class _Network:
    """The sizes of a network, read from its arrays, and the table of its rules."""

    names: Naming
    blocks: list[tuple[int, int, bool]]
    attention: tuple[int, ...]
    deep: bool
    z_dim: int
    labels: int
    embedding: int
    learnt: bool
    condition: str
    epsilons: tuple[float, float]
    truncations: int

    @classmethod
    def of(
        cls, arrays: Arrays, names: Naming, ups: list[bool], epsilons: tuple[float, float]
    ) -> _Network:
        try:
            deep = f"{names.block(0)}.{names.conv(3)}.weight" in arrays
            last = names.conv(3 if deep else 1)
            blocks: list[tuple[int, int, bool]] = []
            for index, up in enumerate(ups):
                inside = arrays[f"{names.block(index)}.{names.conv(0)}.weight"].shape[1]
                outside = arrays[f"{names.block(index)}.{last}.weight"].shape[0]
                blocks.append((inside, outside, up))
            attention = tuple(
                index for index in range(len(ups)) if f"{names.attention(index)}.gamma" in arrays
            )
            own = arrays[f"{names.block(0)}.{names.norm(0)}.{names.gain}.weight"]
            fan_in = arrays[f"{names.linear}.weight"].shape[1]
        except (KeyError, IndexError) as error:
            raise UnsafeFileError(f"the source has no {error.args[0]!s:.80}") from error
        learnt = names.classes in arrays
        table = arrays[names.classes] if learnt else own
        labels, embedding = table.shape[::-1] if names.z_first else table.shape
        condition, z_dim = "class", fan_in
        if not learnt:
            embedding = labels
        elif own.shape[1] == embedding + fan_in:
            condition, z_dim = "split", fan_in * (len(blocks) + 1)
        elif own.shape[1] == fan_in != embedding:
            condition, z_dim = "joint", fan_in - embedding
        rows = len(arrays.get(f"{names.last}.{names.mean}", ())) if names.tables else 0
        return cls(
            names=names,
            blocks=blocks,
            attention=attention,
            deep=deep,
            z_dim=z_dim,
            labels=labels,
            embedding=embedding,
            learnt=learnt,
            condition=condition,
            epsilons=epsilons,
            truncations=rows,
        )

    def converted(self, weights: Arrays) -> Converted:
        """Parameters and facts."""
        return apply_rules(self.rules(), weights), self.facts()

    def facts(self) -> dict[str, Any]:
        """Fields of the `GeneratorSpec`."""
        return {
            "architecture": "biggan",
            "resolution": 4 << sum(up for *_, up in self.blocks),
            "z_dim": self.z_dim,
            "labels": self.labels,
            "embedding": self.embedding,
            "prior": "truncated_normal" if self.truncations else "normal",
            "facts": [
                ["attention", list(self.attention)],
                ["blocks", [list(block) for block in self.blocks]],
                ["condition", self.condition],
                ["deep", self.deep],
                ["epsilons", list(self.epsilons)],
                ["table", self.learnt],
            ],
        }

    def rules(self) -> Iterator[Rule]:
        """The table."""
        names = self.names
        if self.learnt:
            transform = np.transpose if names.z_first else np.asarray
            shape = (self.labels, self.embedding)
            yield Rule("synthesis/classes", (names.classes,), transform, shape)
        yield from self._linear(self.blocks[0][0])
        for index, block in enumerate(self.blocks):
            yield from self._block(index, *block)
        for index in self.attention:
            yield from self._attention(index, self.blocks[index][1])
        width = self.blocks[-1][1]
        for ours, theirs in (("gain", names.last_gain), ("shift", names.last_shift)):
            source = (f"{names.last}.{theirs}",)
            yield Rule(f"synthesis/norm/{ours}", source, np.ravel, (width,))
        yield from self._statistics("synthesis/norm", names.last, width)
        source = f"{names.image}.weight"
        # The port computes as many channels as come in and keeps three.
        shape = (3, 3, width, 3)

        def drawn(x: np.ndarray) -> np.ndarray:
            return x[:3] if len(x) == width else x

        def turned(x: np.ndarray) -> np.ndarray:
            return kernel(drawn(x), tf=False, flip=False)

        yield from coloured(
            Rule("synthesis/image/kernel", (source,), turned, shape),
            Rule("synthesis/image/bias", (f"{names.image}.bias",), drawn, (3,)),
        )

    def _linear(self, width: int) -> Iterator[Rule]:
        names, count = self.names, 16 * width
        fan_in = self._share if self.condition != "joint" else self._conditions

        def channels_last(x: np.ndarray) -> np.ndarray:
            if names.nhwc:
                return x
            return np.moveaxis(x.reshape(width, 16, -1), 0, 1).reshape(count, -1)

        weight, bias = f"{names.linear}.weight", f"{names.linear}.bias"
        yield Rule(
            "synthesis/linear/kernel",
            (weight,),
            lambda x: self._class_first(channels_last(x).T),
            (fan_in, count),
        )
        yield Rule("synthesis/linear/bias", (bias,), lambda b: channels_last(b).ravel(), (count,))

    @property
    def _share(self) -> int:
        return self.z_dim // (len(self.blocks) + 1) if self.condition == "split" else self.z_dim

    @property
    def _conditions(self) -> int:
        return (
            self.embedding + {"class": 0, "joint": self.z_dim, "split": self._share}[self.condition]
        )

    def _class_first(self, x: np.ndarray) -> np.ndarray:
        """Rows of [condition, out] in the order class vector, z."""
        return np.roll(x, self.embedding, axis=0) if self.names.z_first else x

    def _block(self, index: int, inside: int, outside: int, up: bool) -> Iterator[Rule]:
        base, source = f"synthesis/block{index}", self.names.block(index)
        middle = inside // 4
        pairs = (
            [(inside, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, outside, 1)]
            if self.deep
            else [(inside, outside, 3), (outside, outside, 3)]
        )
        for number, (before, after, size) in enumerate(pairs):
            yield from self._norm(
                f"{base}/norm{number + 1}", f"{source}.{self.names.norm(number)}", before
            )
            yield from _conv(
                f"{base}/conv{number + 1}",
                f"{source}.{self.names.conv(number)}",
                (before, after, size),
            )
        if not self.deep and (up or inside != outside):
            yield from _conv(f"{base}/skip", f"{source}.conv_sc", (inside, outside, 1))

    def _norm(self, base: str, source: str, width: int) -> Iterator[Rule]:
        for ours, theirs in (("gain", self.names.gain), ("shift", self.names.shift)):
            yield Rule(
                f"{base}/{ours}/kernel",
                (f"{source}.{theirs}.weight",),
                lambda x: self._class_first(x.T if self.learnt else x),
                (self._conditions, width),
            )
        yield from self._statistics(base, source, width)

    def _statistics(self, base: str, source: str, width: int) -> Iterator[Rule]:
        for ours, theirs in (("mean", self.names.mean), ("variance", self.names.variance)):
            name = (f"{source}.{theirs}",)
            if self.truncations:  # the last row belongs to truncation 1, that is, none
                yield Rule(f"{base}/{ours}", name, lambda x: x[-1], (width,))
                yield Rule(f"{base}/{ours}s", name, np.asarray, (self.truncations, width))
            else:
                yield Rule(f"{base}/{ours}", name, np.asarray, (width,))

    def _attention(self, index: int, width: int) -> Iterator[Rule]:
        base, source = f"synthesis/attention{index}", self.names.attention(index)
        widths = (
            (width, width // 8),
            (width, width // 8),
            (width, width // 2),
            (width // 2, width),
        )
        ours = ("query", "key", "value", "out")
        for name, theirs, shape in zip(ours, self.names.looks, widths, strict=True):
            yield Rule(
                f"{base}/{name}/kernel",
                (f"{source}.{theirs}.weight",),
                lambda x: x[:, :, 0, 0].T,
                shape,
            )
        yield Rule(f"{base}/gamma", (f"{source}.gamma",), lambda x: np.reshape(x, ()), ())


def _conv(base: str, source: str, sizes: tuple[int, int, int]) -> Iterator[Rule]:
    inside, outside, size = sizes
    shape = (inside, outside) if size == 1 else (size, size, inside, outside)

    def transform(x: np.ndarray) -> np.ndarray:
        x = kernel(x, tf=False, flip=False)
        return x[0, 0] if size == 1 else x

    yield Rule(f"{base}/kernel", (f"{source}.weight",), transform, shape)
    yield Rule(f"{base}/bias", (f"{source}.bias",), np.asarray, (outside,))
