from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from weights_convert import UnsafeFileError
from weights_convert.networks import lpips, mobilestylegan
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.readers.openvino_ir import read_constants

# --- OpenVINO IR ----------------------------------------------------------------------------------


def layer(
    index: int, name: str, shape: str, offset: object, size: object, kind: str = "f32"
) -> str:
    data = f'<data element_type="{kind}" shape="{shape}" offset="{offset}" size="{size}"/>'
    return f'<layer id="{index}" name="{name}" type="Const" version="opset1">{data}</layer>'


def net(layers: str, edges: str = "", version: str = "10", prologue: str = "") -> bytes:
    body = (
        f'<net name="t" version="{version}"><layers>{layers}</layers><edges>{edges}</edges></net>'
    )
    return ('<?xml version="1.0"?>' + prologue + body).encode()


def make_ir(arrays: Mapping[str, np.ndarray], consumers: Mapping[str, str]) -> tuple[bytes, bytes]:
    """A graph whose constants are `arrays`; `consumers` names the type of the layer reading one."""
    layers, edges, blob = [], [], b""
    for index, (name, array) in enumerate(arrays.items()):
        data = np.ascontiguousarray(array, np.float32).tobytes()
        shape = ", ".join(map(str, array.shape))
        layers.append(layer(index, name, shape, len(blob), len(data)))
        user = 100_000 + index
        layers.append(f'<layer id="{user}" name="u{index}" type="{consumers.get(name, "Add")}"/>')
        edges.append(f'<edge from-layer="{index}" from-port="0" to-layer="{user}" to-port="1"/>')
        blob += data
    return net("".join(layers), "".join(edges)), blob


def test_constants_are_found_by_name_and_id() -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    xml, blob = make_ir({"k": kernel, "c": np.float32(0.5).reshape(1, 1)}, {"k": "MatMul"})
    found = read_constants(xml, blob)
    np.testing.assert_array_equal(found.by_name["k"].array, kernel)
    assert found.by_id["0"] is found.by_name["k"]
    assert found.by_name["k"].consumers == ("MatMul",)
    assert found.by_name["c"].array.shape == (1, 1)


def test_constants_of_other_types_are_left_out() -> None:
    layers = layer(0, "axis", "1", 0, 8, "i64") + layer(1, "scale", "", 8, 4)
    found = read_constants(net(layers), struct.pack("<qf", 3, 0.25))
    assert set(found.by_name) == {"scale"}
    assert found.by_name["scale"].array == np.float32(0.25)


ENTITY_BOMB = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE net SYSTEM "file:///etc/hostname">'
BAD_XML: Mapping[str, tuple[bytes, str]] = {
    "entity bomb": (net("&b;", prologue=ENTITY_BOMB), "document type or an entity"),
    "external entity": (net("", prologue=EXTERNAL), "document type or an entity"),
    "undeclared entity": (net("&x;"), "not well-formed"),
    "cut off": (net(layer(0, "a", "2", 0, 8))[:-9], "not well-formed"),
    "empty": (b"", "not well-formed"),
    "nested": (net("<a>" * 40 + "</a>" * 40), "nested deeper than 32"),
    "version": (net("", version="11"), "allowed: '10'"),
    "twice": (net(layer(0, "a", "2", 0, 8) + layer(1, "a", "2", 0, 8)), "occurs twice"),
    "outside": (net(layer(0, "a", "2", 4, 8)), "bytes 4 to 12 of a blob of 8"),
    "negative offset": (net(layer(0, "a", "2", -4, 8)), "'-4' is not a size"),
    "huge offset": (net(layer(0, "a", "2", "9" * 5000, 8)), "is not a size"),
    "no offset": (net(layer(0, "a", "2", "", 8)), "'' is not a size"),
    "size against shape": (net(layer(0, "a", "3", 0, 8)), "8 bytes for the f32 shape"),
    "negative shape": (net(layer(0, "a", "-2", 0, 8)), "'-2' is not a size"),
    "rank": (net(layer(0, "a", ",".join("1" * 20), 0, 4)), "rank 20"),
}


@pytest.mark.parametrize("case", BAD_XML)
def test_bad_graphs_are_refused(case: str) -> None:
    xml, told = BAD_XML[case]
    with pytest.raises(UnsafeFileError, match=told):
        read_constants(xml, b"\0" * 8)


# --- rule tables ----------------------------------------------------------------------------------

SAME = Rule("a/b", ("x",), lambda x: x, (2,))
TWO = {"x": np.ones(2, np.float32), "y": np.ones(2, np.float32)}


def test_rules_fill_a_nested_dict() -> None:
    scaled = Rule("a/c", ("y", "k"), lambda y, k: y * k, (2,))
    made = apply_rules([SAME, scaled], TWO, {"k": np.full((), 3.0), "unused": np.ones(())})
    np.testing.assert_array_equal(made["a"]["b"], [1, 1])
    np.testing.assert_array_equal(made["a"]["c"], [3, 3])


@pytest.mark.parametrize(
    ("rules", "weights", "told"),
    [
        ([SAME], TWO, "1 weights of the source are used by no rule: y"),
        ([SAME], {}, "a/b: the source has no x"),
        ([SAME, SAME], {"x": TWO["x"]}, "two rules fill a/b"),
        ([SAME], {"x": np.ones(3, np.float32)}, r"shape \(3,\); allowed: \(2,\)"),
        ([SAME], {"x": np.array([1, np.nan])}, "not finite"),
        ([Rule("a", ("x",), lambda x: x[0, 0], (2,))], {"x": TWO["x"]}, "source of another shape"),
    ],
)
def test_rules_fail_loudly(rules: list[Rule], weights: dict[str, np.ndarray], told: str) -> None:
    with pytest.raises(UnsafeFileError, match=told):
        apply_rules(rules, weights)


# --- MobileStyleGAN -------------------------------------------------------------------------------

FILTER = np.full((4, 1, 1, 2, 1), 0.5**0.5, np.float32)
FED = (512, 512, 512, 512, 512, 256, 128)
MADE = (512, 512, 512, 512, 256, 128, 64)


def synthesis_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the exported synthesis graph, written down from the graph itself."""
    yield from {"m.input.input": (1, 512, 4, 4), "Mul_39_copy": (512, 512, 3, 3)}.items()
    yield from {
        "1531": (1, 1, 4, 4),
        "m.conv1.bias": (1, 512, 1, 1),
        "Constant_18": (1, 1, 1, 1),
    }.items()
    yield from modulation("m.conv1.conv", 512)
    for i, (fed, made) in enumerate(zip(FED, MADE, strict=True)):
        yield from modulation(f"m.layers.{i}.up", fed)
        for k, channels, product, scale, noise in (
            (1, fed // 4, 106 + 100 * i, 84 + 100 * i, 1560 + 41 * i),
            (2, made, 139 + 100 * i, 117 + 100 * i, 1572 + 41 * i),
        ):
            yield from modulation(f"m.layers.{i}.conv{k}.conv", channels)
            yield f"m.layers.{i}.conv{k}.conv.weight_dw", (channels, 1, 1, 3, 3)
            yield f"m.layers.{i}.conv{k}.bias", (1, made, 1, 1)
            yield f"Mul_{product}_copy", (made, channels, 1, 1)
            yield f"Constant_{scale}", (1, 1, 1, 1)
            yield str(noise), (1, 1, 8 * 2**i, 8 * 2**i)
    yield from modulation("m.layers.6.to_img.conv", 64)
    yield from {
        "m.layers.6.to_img.conv.weight": (12, 64, 1, 1),
        "Constant_750": (1, 1, 1, 1),
    }.items()
    yield from {"m.layers.6.to_img.bias": (1, 12, 1, 1), "LeakyRelu_1/weights": (1,)}.items()


def modulation(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.modulation.weight", (channels, 512)
    yield f"{name}.modulation.bias", (1, channels)


@pytest.fixture(scope="module")
def graphs() -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    mapping: dict[str, np.ndarray] = {"24": np.ones((1, 1), np.float32)}
    for i in range(8):
        mapping[str(173 + 4 * i)] = rng.random((512, 512), np.float32)
        mapping[str(174 + 4 * i)] = rng.random(512, np.float32)
    synthesis = {name: rng.random(shape, np.float32) for name, shape in synthesis_shapes()}
    return {"Mapping": mapping, "Synthesis": synthesis | {"wavelet": FILTER}}


def members(graphs: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, arrays in graphs.items():
        xml, blob = make_ir(arrays, {"wavelet": "GroupConvolutionBackpropData"})
        found |= {f"{name}Network.xml": xml, f"{name}Network.bin": blob}
    return found


def test_generator_conversion_keeps_the_arithmetic(
    graphs: dict[str, dict[str, np.ndarray]],
) -> None:
    params = mobilestylegan.convert(members(graphs))
    old, new = graphs["Synthesis"], params["synthesis"]
    rng = np.random.default_rng(1)
    w, x = rng.standard_normal(512), rng.standard_normal(512)
    np.testing.assert_allclose(
        w @ params["mapping"]["fc3"]["kernel"], graphs["Mapping"]["185"] @ w, rtol=1e-5, atol=1e-5
    )
    # A modulation with its stored scale folded in: (M w + m) * c.
    m = "m.layers.4.conv1.conv.modulation"
    expected = (old[f"{m}.weight"] @ w + old[f"{m}.bias"][0]) * old["Constant_484"].item()
    style = new["block4"]["conv1"]["style"]
    np.testing.assert_allclose(w @ style["kernel"] + style["bias"], expected, rtol=1e-5, atol=1e-4)
    # Full convolution at one pixel (order of channels is that of the next wavelet synthesis).
    expected = np.einsum("oiyx,i->oyx", old["Mul_39_copy"], x)[regroup(512)]
    np.testing.assert_allclose(
        np.einsum("yxio,i->oyx", new["first"]["kernel"], x), expected, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(new["const"][1, 2], old["m.input.input"][0, :, 1, 2])
    np.testing.assert_array_equal(
        new["block6"]["conv2"]["depthwise"][0, 2],
        old["m.layers.6.conv2.conv.weight_dw"][:, 0, 0, 0, 2],
    )
    # The last block feeds the head, not a wavelet synthesis: its channels keep their order.
    np.testing.assert_array_equal(
        new["block6"]["conv2"]["pointwise"], old["Mul_739_copy"][:, :, 0, 0].T
    )
    np.testing.assert_array_equal(new["block2"]["conv1"]["noise"], old["1642"][0, 0])


def regroup(channels: int) -> list[int]:
    """[LL | H0 | H1 | H2]: band k of output channel c is stored at channels/4 + 3c + k."""
    quarter = channels // 4
    bands = [[quarter + 3 * c + k for c in range(quarter)] for k in range(3)]
    return [*range(quarter), *bands[0], *bands[1], *bands[2]]


def haar(x: np.ndarray, index: Callable[[int, int], int]) -> np.ndarray:
    """Inverse Haar of [h, w, C]; `index(c, k)` is the channel of band k (0: low) of output c."""
    height, width, channels = x.shape
    out = np.zeros((2 * height, 2 * width, channels // 4))
    for c in range(channels // 4):
        low, rows, columns, both = (x[..., index(c, k)] for k in range(4))
        for a in (0, 1):
            for b in (0, 1):
                signed = low + (-1) ** a * rows + (-1) ** b * columns + (-1) ** (a + b) * both
                out[a::2, b::2, c] = 0.5 * signed
    return out


def test_reordered_bands_give_the_same_wavelet_synthesis(
    graphs: dict[str, dict[str, np.ndarray]],
) -> None:
    new, old = mobilestylegan.convert(members(graphs))["synthesis"], graphs["Synthesis"]
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 2, 128)), rng.standard_normal(512)
    # Block 5 conv2 (128 channels) -> block 6 up, in the source's order and in ours.
    conv, up = new["block5"]["conv2"], new["block6"]["up"]["style"]
    ours = (x @ conv["pointwise"] + conv["bias"]) * (w @ up["kernel"] + up["bias"])
    kernel, bias = old["Mul_639_copy"][:, :, 0, 0], old["m.layers.5.conv2.bias"][0, :, 0, 0]
    m = "m.layers.6.up.modulation"
    theirs = (x @ kernel.T + bias) * (old[f"{m}.weight"] @ w + old[f"{m}.bias"][0])
    expected = haar(theirs, lambda c, k: c if k == 0 else 32 + 3 * c + k - 1)
    np.testing.assert_allclose(haar(ours, lambda c, k: 32 * k + c), expected, rtol=1e-4, atol=1e-3)
    head = x[..., :64] @ new["head"]["kernel"] + new["head"]["bias"]
    source = x[..., :64] @ old["m.layers.6.to_img.conv.weight"][:, :, 0, 0].T
    source += old["m.layers.6.to_img.bias"][0, :, 0, 0]
    expected = haar(source, lambda c, k: c if k == 0 else 3 + 3 * c + k - 1)
    np.testing.assert_allclose(haar(head, lambda c, k: 3 * k + c), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"extra": np.ones((2, 2))}, "used by no rule: extra"),
        ({"1531": None}, "synthesis/first/noise: the source has no 1531"),
        ({"Constant_750": None}, "has no Constant_750"),
        ({"wavelet": FILTER * 2}, "'wavelet' is not Haar's"),
        ({"m.layers.2.conv1.bias": np.ones((1, 64, 1, 1))}, "block2/conv1/bias: shape"),
    ],
)
def test_another_generator_graph_is_refused(
    graphs: dict[str, dict[str, np.ndarray]], change: dict[str, Any], told: str
) -> None:
    synthesis = {k: v for k, v in (graphs["Synthesis"] | change).items() if v is not None}
    with pytest.raises(UnsafeFileError, match=told):
        mobilestylegan.convert(members({"Mapping": graphs["Mapping"], "Synthesis": synthesis}))


# --- feature nets ---------------------------------------------------------------------------------


def alexnet_source() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    trunk, heads = {}, {}
    shapes = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
    for i, (size, fan_in, out) in enumerate(shapes):
        kernel = rng.random((size, size, fan_in, out), np.float32)
        trunk[f"Conv_{i}"] = {"kernel": kernel, "bias": rng.random(out, np.float32)}
        heads[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": rng.random((1, 1, out, 1), np.float32)}}
    return {"AlexNet_0": trunk, **heads}


def test_feature_net_conversion_renames_and_drops_unit_axes() -> None:
    source = alexnet_source()
    made = lpips.convert("alexnet", pickle.dumps(source, protocol=3))
    assert set(made) == {f"conv{i}" for i in range(1, 6)} | {f"lin{i}" for i in range(5)}
    np.testing.assert_array_equal(made["conv2"]["kernel"], source["AlexNet_0"]["Conv_1"]["kernel"])
    np.testing.assert_array_equal(
        made["lin4"], source["NetLinLayer_4"]["Conv_0"]["kernel"][0, 0, :, 0]
    )


def test_other_feature_net_files_are_refused() -> None:
    source = alexnet_source()
    with pytest.raises(ValueError, match="unknown architecture 'squeeze'; allowed: alexnet, vgg16"):
        lpips.convert("squeeze", b"")
    with pytest.raises(UnsafeFileError, match="the source has no VGG16_0"):
        lpips.convert("vgg16", pickle.dumps(source, protocol=3))
    with pytest.raises(UnsafeFileError, match="used by no rule: more"):
        lpips.convert("alexnet", pickle.dumps({**source, "more": np.ones(2)}, protocol=3))
    with pytest.raises(UnsafeFileError, match="AlexNet_0 holds a list"):
        lpips.convert("alexnet", pickle.dumps({"AlexNet_0": [1]}, protocol=3))


def test_expat_never_loads_a_decoder_that_the_file_names() -> None:
    """A declared encoding is ignored: the bytes are UTF-8, whatever they claim."""
    text = net(layer(0, "a", "2", 0, 8)).replace(b'"1.0"?', b'"1.0" encoding="cp037"?')
    before = set(sys.modules)
    assert set(read_constants(text, b"\0" * 8).by_name) == {"a"}
    assert "encodings.cp037" not in set(sys.modules) - before
