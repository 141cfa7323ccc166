"""Feature nets of small widths: converted and run against a second implementation in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.models.features.nets import embed, embed_texts, load_net
from tests.torchlike import state_dict, zip_file
from weights_convert import UnsafeFileError, convert

Arrays = dict[str, np.ndarray]
pytestmark = pytest.mark.usefixtures("quick_compilation")


class Draws:
    """Arrays of a state dict, drawn as they are added."""

    def __init__(self, seed: int = 0) -> None:
        self.draws, self.arrays = np.random.default_rng(seed), {}

    def add(self, name: str, *shape: int, scale: float = 1.0, offset: float = 0.0) -> None:
        value = offset + scale * self.draws.standard_normal(shape)
        self.arrays[name] = value.astype(np.float32)

    def conv(self, name: str, fan_in: int, out: int, side: int) -> None:
        self.add(f"{name}.weight", out, fan_in, side, side, scale=(fan_in * side**2) ** -0.5)

    def norm(self, name: str, width: int) -> None:
        self.add(f"{name}.weight", width, scale=0.1, offset=1.0)
        self.add(f"{name}.bias", width, scale=0.1)
        self.add(f"{name}.running_mean", width, scale=0.1)
        self.arrays[f"{name}.running_var"] = self.draws.uniform(0.5, 2, width).astype("f4")
        self.arrays[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)


def conv(x: np.ndarray, weight: np.ndarray, stride: int = 1) -> np.ndarray:
    """Correlation of x [c, h, w] with OIHW, half a kernel of zeros on all sides."""
    side = weight.shape[-1]
    pad = side // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = ((n + 2 * pad - side) // stride + 1 for n in x.shape[1:])
    out = np.zeros((len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            patch = padded[:, stride * i : stride * i + side, stride * j : stride * j + side]
            out[:, i, j] = np.tensordot(weight, patch, 3)
    return out


def norm(x: np.ndarray, arrays: Arrays, name: str) -> np.ndarray:
    """Batch normalisation of [c, ...] with the running statistics."""
    weight, bias, mean, variance = (
        arrays[f"{name}.{part}"].reshape(-1, *(1,) * (x.ndim - 1))
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def bottlenecks(seed: int = 0) -> Arrays:
    """A ResNet of bottlenecks, widths 2, 4, 6, 8 and four times that."""
    d = Draws(seed)
    d.conv("conv1", 3, 4, 7)
    d.norm("bn1", 4)
    wide = 4
    for stage, width in enumerate((2, 4, 6, 8), start=1):
        for index in range(2 if stage == 2 else 1):
            name = f"layer{stage}.{index}"
            sizes = ((wide, width, 1), (width, width, 3), (width, 4 * width, 1))
            for i, (fan_in, out, side) in enumerate(sizes, start=1):
                d.conv(f"{name}.conv{i}", fan_in, out, side)
                d.norm(f"{name}.bn{i}", out)
            if index == 0:
                d.conv(f"{name}.downsample.0", wide, 4 * width, 1)
                d.norm(f"{name}.downsample.1", 4 * width)
            wide = 4 * width
    return d.arrays


def resnet(a: Arrays, x: np.ndarray) -> np.ndarray:
    """The mean of the last map of x [3, h, w]."""
    x = relu(norm(conv(x, a["conv1.weight"], 2), a, "bn1"))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    x = windows[:, ::2, ::2].max((-1, -2))
    for stage in range(1, 5):
        for index in range(2 if stage == 2 else 1):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            y = relu(norm(conv(x, a[f"{name}.conv1.weight"]), a, f"{name}.bn1"))
            y = relu(norm(conv(y, a[f"{name}.conv2.weight"], stride), a, f"{name}.bn2"))
            y = norm(conv(y, a[f"{name}.conv3.weight"]), a, f"{name}.bn3")
            if index == 0:
                shortcut = conv(x, a[f"{name}.downsample.0.weight"], stride)
                x = norm(shortcut, a, f"{name}.downsample.1")
            x = relu(x + y)
    return x.mean((1, 2))


def identity_net(*, gated: bool) -> Arrays:
    """IR or IR-SE of widths 4, 4 and 8, for faces of 112 px: the last map has 28 px."""
    d = Draws(1)
    d.conv("input_layer.0", 3, 4, 3)
    d.norm("input_layer.1", 4)
    d.add("input_layer.2.weight", 4, scale=0.1, offset=0.25)
    for index, (fan_in, out) in enumerate(((4, 4), (4, 4), (4, 8))):
        name = f"body.{index}.res_layer"
        d.norm(f"{name}.0", fan_in)
        d.conv(f"{name}.1", fan_in, out, 3)
        d.add(f"{name}.2.weight", out, scale=0.1, offset=0.25)
        d.conv(f"{name}.3", out, out, 3)
        d.norm(f"{name}.4", out)
        if gated:
            d.conv(f"{name}.5.fc1", out, 2, 1)
            d.conv(f"{name}.5.fc2", 2, out, 1)
        if fan_in != out:
            d.conv(f"body.{index}.shortcut_layer.0", fan_in, out, 1)
            d.norm(f"body.{index}.shortcut_layer.1", out)
    d.norm("output_layer.0", 8)
    d.add("output_layer.3.weight", 5, 8 * 28 * 28, scale=0.01)
    d.add("output_layer.3.bias", 5)
    d.norm("output_layer.4", 5)
    return d.arrays


def face_vector(a: Arrays, x: np.ndarray) -> np.ndarray:
    """The normalised vector of a face [3, 112, 112]."""

    def sloped(x: np.ndarray, name: str) -> np.ndarray:
        return np.where(x > 0, x, x * a[f"{name}.weight"][:, None, None])

    x = sloped(norm(conv(x, a["input_layer.0.weight"]), a, "input_layer.1"), "input_layer.2")
    for index in range(3):
        name, stride = f"body.{index}.res_layer", 1 if index == 1 else 2
        y = conv(norm(x, a, f"{name}.0"), a[f"{name}.1.weight"])
        y = norm(conv(sloped(y, f"{name}.2"), a[f"{name}.3.weight"], stride), a, f"{name}.4")
        if f"{name}.5.fc1.weight" in a:
            inner = relu(conv(y.mean((1, 2), keepdims=True), a[f"{name}.5.fc1.weight"]))
            y = y * sigmoid(conv(inner, a[f"{name}.5.fc2.weight"]))
        short = f"body.{index}.shortcut_layer"
        if f"{short}.0.weight" in a:
            x = norm(conv(x, a[f"{short}.0.weight"], stride), a, f"{short}.1") + y
        else:
            x = x[:, ::stride, ::stride] + y
    flat = norm(x, a, "output_layer.0").ravel()
    out = norm(a["output_layer.3.weight"] @ flat + a["output_layer.3.bias"], a, "output_layer.4")
    return out / np.linalg.norm(out)


def write(folder: Path, arrays: Arrays) -> Path:
    path = folder / "published.pth"
    path.write_bytes(zip_file(state_dict(arrays), arrays))
    return path


def prefixed(arrays: Arrays) -> Arrays:
    return {f"module.encoder_q.{name}": array for name, array in arrays.items()}


def pictures(side: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def test_a_narrow_resnet_is_its_definition(tmp_path: Path) -> None:
    arrays = bottlenecks()
    path = convert(write(tmp_path, prefixed(arrays)), out=tmp_path / "n.safetensors")
    net, params = load_net(str(path))
    images = pictures(40, 1)
    found = jax.jit(net.run)(params, images[0].astype(np.float32) / 127.5 - 1)["pooled"]
    expected = resnet(arrays, np.moveaxis(images[0] / 127.5 - 1, -1, 0))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gated", [True, False])
def test_a_narrow_identity_net_is_its_definition(tmp_path: Path, gated: bool) -> None:
    arrays = identity_net(gated=gated)
    path = convert(write(tmp_path, arrays), out=tmp_path / "n.safetensors")
    net, params = load_net(str(path))
    face = pictures(112, 1)[0] / 127.5 - 1
    found = jax.jit(net.run)(params, face.astype(np.float32))["embedding"]
    np.testing.assert_allclose(found, face_vector(arrays, np.moveaxis(face, -1, 0)), atol=1e-5)


def broken() -> Iterator[tuple[str, Callable[[Arrays], object], str]]:
    yield "a missing kernel", lambda a: a.pop("layer3.0.conv2.weight"), "layer3.0.conv2"
    yield "a missing variance", lambda a: a.pop("layer1.0.bn1.running_var"), "layer1.0.bn1"
    yield "a missing stage", lambda a: [a.pop(n) for n in list(a) if "layer3" in n], "layer4"
    yield "a missing block", lambda a: [a.pop(n) for n in list(a) if "layer2.0" in n], "layer2.1"
    yield "one more array", lambda a: a.update({"extra.weight": np.ones(3, "f4")}), "extra"
    yield "another width", lambda a: a.update({"bn1.bias": np.ones(5, "f4")}), "conv1"
    yield "a negative variance", lambda a: a.update({"bn1.running_var": -np.ones(4, "f4")}), "below"
    yield "not a number", lambda a: a.update({"bn1.bias": np.full(4, np.nan, "f4")}), "finite"


@pytest.mark.parametrize(("change", "told"), [case[1:] for case in broken()])
def test_a_net_that_is_not_whole_is_refused_in_a_sentence(
    tmp_path: Path, change: Callable[[Arrays], object], told: str
) -> None:
    arrays = bottlenecks()
    change(arrays)
    out = tmp_path / "n.safetensors"
    with pytest.raises(UnsafeFileError, match="found MoCo ResNet-50") as caught:
        convert(write(tmp_path, prefixed(arrays)), out=out)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_options_of_generators_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, prefixed(bottlenecks()))
    for option in ({"alignment": "ffhq"}, {"clamp": 1.0}, {"like": "ffhq"}):
        with pytest.raises(ValueError, match=f"option '{next(iter(option))}' with a file of MoCo"):
            convert(path, out=tmp_path / "n.safetensors", **option)  # pyright: ignore[reportArgumentType]


def test_the_command_says_how_to_load_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    file = write(tmp_path, prefixed(bottlenecks()))
    assert main(["convert", str(file), "--name", "mine"]) == 0
    assert "load_net('mine')" in capsys.readouterr().out
    net, params = load_net("mine")
    assert embed(net, params, pictures(30)).shape == (2, 32)
    with pytest.raises(ValueError, match=r"unknown tap 'relu9'; allowed: .*pooled"):
        embed(net, params, pictures(30), tap="relu9")
    with pytest.raises(ValueError, match=r"uint8 \[B, h, w, 3\]"):
        embed(net, params, pictures(30) / 255)
    with pytest.raises(ValueError, match="embeds no texts; allowed: clip"):
        embed_texts(net, params, np.zeros((1, 77), np.int32))
    with pytest.raises(ValueError, match=r"are not in "):
        load_net("another")
