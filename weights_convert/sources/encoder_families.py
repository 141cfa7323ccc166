"""Files of encoders that are not of the pSp family alone: a row of `FAMILIES` for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxinv.specs.encoders import EncoderSpec
from weights_convert.errors import UnsafeFileError, one_error
from weights_convert.networks import encoder_families, encoders_of_generators, variational
from weights_convert.networks.encoder_families import Network
from weights_convert.networks.rules import distinct_bytes
from weights_convert.sources import encoders
from weights_convert.sources.base import Arrays, plain_names
from weights_convert.sources.nvlabs_tensorflow import network_arrays
from weights_convert.sources.places import AVERAGE, CONTAINERS

PASSES = 5  # of HyperStyle where the settings do not say
CONTAINERS_OF_ENCODERS = (*CONTAINERS, "enc_state_dict")


class Family(NamedTuple):
    """One kind of file: arrays that it has, by name, and what becomes of them.

    `network` makes fields of the spec and parameters of the arrays, whose names begin with
    `prefix` (a layer's group and a dot, or nothing); `options` are what its files leave open.
    `around` adds the encoder that this one corrects: "file", another file's; "encoder", that of the
    same file. `decoder` is how names of the file's generator begin; `config`: the network is told
    what stands in the file config.json beside.
    """

    name: str
    markers: tuple[str, ...]
    network: Callable[..., Network]
    options: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ("",)
    around: str = ""
    decoder: str = f"{encoders.DECODER}."
    config: bool = False


class Found(NamedTuple):
    """A file of a family: the arrays of its network, all arrays, and the whole tree."""

    family: Family
    own: Arrays
    arrays: Arrays
    tree: Any

    @property
    def decoder(self) -> bool:
        """Whether the file holds the generator too."""
        return any(name.startswith(self.family.decoder) for name in self.arrays)


FAMILIES: tuple[Family, ...] = (
    Family(
        "IDInvert, genforce: encoder",
        ("block0.conv.weight", "block1.conv1.weight", "block1.wscale1.bias"),
        encoder_families.idinvert,
        ("equalised",),
    ),
    Family(
        "Latent composition, chail: encoder for StyleGAN2",
        ("layer1.0.conv1.weight", "layer5.conv5.weight"),
        encoder_families.latent_composition,
        ("side",),
    ),
    Family(
        "GH-Feat, genforce: encoder",
        ("Conv0/weight", "stage5/Shortcut/weight", "HighLevel/weight"),
        encoder_families.gh_feat,
        ("side",),
    ),
    Family(
        "Feature-Style, InterDigital: encoder",
        ("content_layer.1.weight", "block_1.0.conv1.weight", "styles.0.weight"),
        encoder_families.feature_style,
    ),
    Family(
        "HyperStyle: hypernetwork and decoder",
        ("hypernet.conv1.weight", "hypernet.body.0.conv1.weight"),
        encoders_of_generators.hyperstyle,
        ("before",),
        ("hypernet.",),
        "file",
    ),
    Family(
        "HFGI: encoder, aligner, consultant and decoder",
        ("grid_align.conv_layer1.0.weight", "residue.conv_layer1.0.weight"),
        encoders_of_generators.hfgi,
        (),
        ("grid_align.", "residue."),
        "encoder",
    ),
    Family(
        "VAE of dense layers: encoder and decoder",
        variational.DENSE_ARRAYS,
        variational.dense_encoder,
        decoder="fc3.",
    ),
    Family(
        "AutoencoderKL, diffusers: encoder and decoder",
        variational.KL_ARRAYS,
        variational.kl_encoder,
        ("side",),
        ("encoder.", "quant_conv."),
        config=True,
    ),
)


class Looking(NamedTuple):
    """An encoder of any kind in a file, and what becomes of it under a name.

    `shared` are options that its decoder is converted with, too.
    """

    format: str
    decoder: bool
    convert: Callable[[str], encoders.Converted]
    shared: Mapping[str, Any] = {}


def look(tree: Any, *, config: Any = None, **options: Any) -> Looking | None:
    """The encoder that a file's tree holds, of the pSp family or another; None if it has none.

    `options`: see `convert`; `config`: what stands in the file config.json beside it. Raises
    `ValueError` for an option that is not this file's.
    """
    if (found := find(tree)) is not None:
        own = {"config": config} if found.family.config else {}
        shared = {**own, **options} if found.family.config else {}
        made = partial(convert, found, options=options, beside=own)
        return Looking(found.family.name, found.decoder, made, shared)
    if (plain := encoders.find(tree)) is not None:
        _check_options(encoders.FORMAT, (), options)
        return Looking(encoders.FORMAT, plain.decoder, partial(encoders.convert, plain))
    return None


def _check_options(kind: str, allowed: tuple[str, ...], options: Mapping[str, Any]) -> None:
    if extra := sorted(set(options) - set(allowed)):
        own = ("name", "out", "alignment", "generator", *allowed)
        raise ValueError(f"option {extra[0]!r} with a file of {kind}; allowed: {', '.join(own)}")


def find(tree: Any) -> Found | None:
    """The encoder of one of these kinds that a file's tree holds, or None."""
    for arrays in _all_arrays(tree):
        for family in FAMILIES:
            if all(marker in arrays for marker in family.markers):
                return Found(family, _own(family, arrays), arrays, tree)
        if _masked_of_pggan(arrays):
            family = FAMILIES[1]._replace(name="Latent composition, chail: encoder for PGGAN")
            return Found(family, arrays, arrays, tree)
    return None


def _masked_of_pggan(arrays: Arrays) -> bool:
    """Whether this is a ResNet for three colours and a mask: others are no encoders."""
    names = ("layer1.0.conv1.weight", "fc.weight", "conv1.weight")
    return all(name in arrays for name in names) and arrays["conv1.weight"].shape[1:2] == (4,)


def _own(family: Family, arrays: Arrays) -> Arrays:
    single = family.prefixes[0] if len(family.prefixes) == 1 else ""
    own = {
        name.removeprefix(single): array
        for name, array in arrays.items()
        if name.startswith(family.prefixes)
    }
    return encoders_of_generators.without_repeats(own)


def _all_arrays(tree: Any) -> Iterator[Arrays]:
    """The arrays by name of every network that the tree holds: state dicts and TensorFlow's."""
    if isinstance(tree, tuple | list):
        for one in reversed(tree):
            yield from _all_arrays(one)
    if not isinstance(tree, dict):
        return
    if tree.get("class") == "Network":
        yield dict(network_arrays(tree))
        return
    for name in CONTAINERS_OF_ENCODERS:
        if isinstance(tree.get(name), dict):
            yield plain_names(tree[name])
    yield plain_names(tree)


def convert(
    found: Found, name: str, options: Mapping[str, Any], beside: Mapping[str, Any] | None = None
) -> encoders.Converted:
    """The encoder of a file, with the one before it, if it corrects one.

    `beside` is what the network is told of the file config.json. `options` are those of the family:
    "equalised", whether the layers of IDInvert are; "side" of the pictures that it sees; "before",
    the tree of the file of the encoder that HyperStyle starts from. Raises `UnsafeFileError` for
    arrays that are missing, left over or of other shapes, and `ValueError` for an option that is
    not this family's, or is missing.
    """
    family = found.family
    _check_options(family.name, family.options, options)
    if sum(array.nbytes for array in found.own.values()) > 2 * distinct_bytes(found.own):
        raise UnsafeFileError(f"{family.name}: the file names the same arrays too often")
    before = _before(found, name, options.get("before"))
    own = {option: value for option, value in options.items() if option != "before"}
    with one_error(family.name):
        fields, params = family.network(found.own, **own, **(beside or {}))
        fields |= _of_before(before)
        if family.around == "file":
            fields["passes"] = _settings(found).get("n_iters_per_batch", PASSES)
        spec = EncoderSpec(name=name, **fields)
        if before is not None:
            params["before"] = before.params
        lacks = before.lacks_average if before is not None else spec.base == "mean"
        converted = encoders.Converted(spec, params, lacks)
    _check(converted, family.name)
    average = found.tree.get(AVERAGE) if isinstance(found.tree, dict) else None
    if before is None or not isinstance(average, np.ndarray):
        return converted
    with one_error(family.name):
        return encoders.with_average(converted, average)


def _settings(found: Found) -> Mapping[str, Any]:
    settings = found.tree.get("opts") if isinstance(found.tree, dict) else None
    return settings if isinstance(settings, dict) else {}


def _of_before(before: encoders.Converted | None) -> dict[str, Any]:
    """The fields of the spec that are those of the encoder before."""
    if before is None:
        return {}
    spec = before.spec
    return {"before": spec, "rows": spec.rows, "width": spec.width, "output": spec.output}


def _before(found: Found, name: str, other: Any) -> encoders.Converted | None:
    """The encoder that this one corrects, of the same file or of the tree of another."""
    if not found.family.around:
        return None
    if found.family.around == "file" and other is None:
        raise ValueError(
            f"a file of {found.family.name} without its codes; give the file of the encoder that "
            "it starts from (such as faces_w_encoder.pt) with --before"
        )
    parts = encoders.find(found.tree if other is None else other)
    if parts is None:
        raise UnsafeFileError(f"{found.family.name}: no encoder of the pSp family before it")
    # Only the codes that HyperStyle's own mean is added to count, a row for every layer.
    before = encoders.convert(parts, name)
    average = found.tree.get(AVERAGE)
    if before.spec.head != "pooled" or not isinstance(average, np.ndarray) or average.ndim < 2:
        return before
    spec = replace(before.spec, head="pooled-row", output="w+", rows=len(average), base="mean")
    return before._replace(spec=spec)


def _check(converted: encoders.Converted, kind: str) -> None:
    """Raise `UnsafeFileError` unless the parameters are all those of the spec's network."""
    from jaxinv.encoders.loading import expected_params
    from jaxinv.encoders.networks import build

    alone = replace(converted.spec, before=None, base="zeros")
    expected = expected_params(build(alone))
    if lacking := _apart(expected, converted.params):
        raise UnsafeFileError(f"{kind}: the file lacks {lacking[0]} and {len(lacking) - 1} more")
    own = {name: converted.params.get(name, {}) for name in ("params", "batch_stats")}
    if left := _apart(own, expected):
        raise UnsafeFileError(f"{kind}: no use for {left[0]} and {len(left) - 1} more")


def _apart(first: Mapping[str, Any], second: Mapping[str, Any], path: str = "") -> list[str]:
    """Places of the arrays of one tree that another lacks or has in another shape."""
    found: list[str] = []
    for name, value in first.items():
        held = second.get(name)
        if isinstance(value, Mapping):
            inner = held if isinstance(held, Mapping) else {}
            found += _apart(value, inner, f"{path}{name}/")
        elif held is None or isinstance(held, Mapping) or tuple(held.shape) != tuple(value.shape):
            found.append(f"{path}{name} {list(value.shape)}")
    return found
