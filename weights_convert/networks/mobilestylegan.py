"""MobileStyleGAN (Belousov 2021, arXiv:2104.04767) from its two OpenVINO graphs, by rules.

What counts as a weight: every f32 constant with more than one element, except the fixed wavelet
filters (the constants read by `GroupConvolutionBackpropData`, all of magnitude sqrt(1/2)).
Constants with one element are epsilons, exponents, slopes and gains; of these the table uses the
modulation scales and ignores the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.readers.openvino_ir import Constant, Constants, read_constants

WIDTH = 512
CHANNELS = (512, 512, 512, 512, 256, 128, 64)
MAPPING_LAYERS = 8
HEAD_BANDS = 12

_WAVELET = "GroupConvolutionBackpropData"


def convert(members: Mapping[str, bytes]) -> dict[str, Any]:
    """Nested parameters (float32, NHWC/HWIO) from the graphs' four files, keyed by file name.

    Modulations come as plain affine maps s = w @ kernel + bias, and the channels that feed a
    wavelet synthesis lie as [LL | H0 | H1 | H2]. Raises `UnsafeFileError` if a graph is not the one
    the rules describe.
    """
    mapping = read_constants(members["MappingNetwork.xml"], members["MappingNetwork.bin"])
    synthesis = read_constants(members["SynthesisNetwork.xml"], members["SynthesisNetwork.bin"])
    params = apply_rules(mapping_rules(), *split_kinds(mapping))
    return params | apply_rules(synthesis_rules(), *split_kinds(synthesis))


def split_kinds(graph: Constants) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split a graph's constants into (weights, single numbers) by name, dropping wavelet filters.

    Raises `UnsafeFileError` for a wavelet filter that is not Haar's.
    """
    weights: dict[str, np.ndarray] = {}
    numbers: dict[str, np.ndarray] = {}
    for name, constant in graph.by_name.items():
        if constant.array.size == 1:
            numbers[name] = constant.array.reshape(())
        elif not _is_wavelet(constant):
            weights[name] = constant.array
    return weights, numbers


def _is_wavelet(constant: Constant) -> bool:
    if set(constant.consumers) != {_WAVELET}:
        return False
    if not np.allclose(np.abs(constant.array), np.sqrt(0.5), atol=1e-6):
        raise UnsafeFileError(f"wavelet filter {constant.name[:80]!r} is not Haar's")
    return True


def mapping_rules() -> Iterator[Rule]:
    """Rules of the mapping graph: eight layers, 173, 174, 177, 178, ..., with [out, in] kernels."""
    for i in range(MAPPING_LAYERS):
        yield Rule(f"mapping/fc{i}/kernel", (str(173 + 4 * i),), np.transpose, (WIDTH, WIDTH))
        yield Rule(f"mapping/fc{i}/bias", (str(174 + 4 * i),), _same, (WIDTH,))


def synthesis_rules() -> Iterator[Rule]:
    """Rules of the synthesis graph: constant input, first convolution, seven blocks, head.

    Layers that kept no name of their own follow the exporter's numbering, which advances by 100
    (products) and by 41 (noise maps) from block to block.
    """
    yield Rule(
        "synthesis/const", ("m.input.input",), lambda x: x[0].transpose(1, 2, 0), (4, 4, WIDTH)
    )
    yield from _first_rules()
    for i in range(len(CHANNELS)):
        yield from _block_rules(i)
    yield from _head_rules()


def _first_rules() -> Iterator[Rule]:
    base = "synthesis/first"
    yield from _style_rules(base, "m.conv1.conv", WIDTH, "Constant_18")
    yield Rule(
        f"{base}/kernel",
        ("Mul_39_copy",),
        lambda x: _bands(x.transpose(2, 3, 1, 0)),
        (3, 3, WIDTH, WIDTH),
    )
    yield Rule(f"{base}/bias", ("m.conv1.bias",), lambda x: _bands(x[0, :, 0, 0]), (WIDTH,))
    yield Rule(f"{base}/noise", ("1531",), _map, (4, 4))


def _block_rules(i: int) -> Iterator[Rule]:
    fed = WIDTH if i == 0 else CHANNELS[i - 1]
    base, source = f"synthesis/block{i}", f"m.layers.{i}"
    yield from _style_rules(f"{base}/up", f"{source}.up", fed, None)
    for k, channels in ((1, fed // 4), (2, CHANNELS[i])):
        product, scale, noise = ((106, 84, 1560), (139, 117, 1572))[k - 1]
        # Only the second convolution feeds the next block's wavelet synthesis; the last block feeds
        # the head.
        order = _bands if k == 2 and i + 1 < len(CHANNELS) else _same
        conv, old = f"{base}/conv{k}", f"{source}.conv{k}"
        yield from _style_rules(conv, f"{old}.conv", channels, f"Constant_{scale + 100 * i}")
        yield Rule(f"{conv}/depthwise", (f"{old}.conv.weight_dw",), _depthwise, (3, 3, channels))
        yield _pointwise(conv, f"Mul_{product + 100 * i}_copy", order, (channels, CHANNELS[i]))
        yield _bias(conv, f"{old}.bias", order, CHANNELS[i])
        yield Rule(f"{conv}/noise", (str(noise + 41 * i),), _map, (8 << i, 8 << i))


def _head_rules() -> Iterator[Rule]:
    base, source, channels = "synthesis/head", "m.layers.6.to_img", CHANNELS[-1]
    yield from _style_rules(base, f"{source}.conv", channels, "Constant_750")
    kernel = _pointwise(base, f"{source}.conv.weight", _bands, (channels, HEAD_BANDS))
    yield Rule(f"{base}/kernel", kernel.sources, kernel.transform, kernel.shape)
    yield _bias(base, f"{source}.bias", _bands, HEAD_BANDS)


def _style_rules(base: str, source: str, channels: int, scale: str | None) -> Iterator[Rule]:
    # s = (w @ M^T + m) * c with the scale c folded in. A wavelet synthesis has no scale; its
    # channels are reordered.
    names = (f"{source}.modulation.weight", f"{source}.modulation.bias")
    kernel, bias = f"{base}/style/kernel", f"{base}/style/bias"
    if scale is None:
        yield Rule(kernel, names[:1], lambda m: _bands(m.T), (WIDTH, channels))
        yield Rule(bias, names[1:], lambda b: _bands(b[0]), (channels,))
    else:
        yield Rule(kernel, (names[0], scale), lambda m, c: m.T * c, (WIDTH, channels))
        yield Rule(bias, (names[1], scale), lambda b, c: b[0] * c, (channels,))


def _pointwise(base: str, source: str, order: Any, shape: tuple[int, int]) -> Rule:
    return Rule(f"{base}/pointwise", (source,), lambda x: order(x[:, :, 0, 0].T), shape)


def _bias(base: str, source: str, order: Any, channels: int) -> Rule:
    return Rule(f"{base}/bias", (source,), lambda x: order(x[0, :, 0, 0]), (channels,))


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _map(x: np.ndarray) -> np.ndarray:
    return x[0, 0]


def _depthwise(x: np.ndarray) -> np.ndarray:
    return x[:, 0, 0].transpose(1, 2, 0)


def _bands(x: np.ndarray) -> np.ndarray:
    """Reorder the last axis from [LL, (H0 H1 H2) of each output channel] to [LL | H0 | H1 | H2]."""
    quarter = x.shape[-1] // 4
    high = quarter + 3 * np.arange(quarter) + np.arange(3)[:, None]
    return x[..., np.concatenate([np.arange(quarter), high.ravel()])]
