"""Small generators that other people trained, converted from their files.

They lie in data/weights of the folder JAXINV_SHARED (default ../shared), or the tests skip.
"""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.io.image_ops import to_uint8
from jaxinv.latents.sampling import sample_latents
from jaxinv.metrics.reconstruction import psnr
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from tests.tiny import Pair
from tests.weights import SHARED
from weights_convert import UnsafeFileError, convert

WEIGHTS = SHARED / "data" / "weights"
FACES, DIGITS = "celeba32_dcgan_{}.pt", "mnist28_wgangp_{}.pth"
ANIME = "animeface64_dcgan_generator.h5", "animeface64_dcgan_discriminator.tfckpt.index"

ABSENT = "needs shared/data/weights (set JAXINV_SHARED)"
pytestmark = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=ABSENT)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr("jaxinv.models.loading.use_compilation_cache", lambda: None)


def faces() -> Pair:
    judge = WEIGHTS / FACES.format("discriminator")
    file = WEIGHTS / FACES.format("generator")
    return load_generator(str(convert(file, name="celeba32", discriminator=judge)))


def drawn(pair: Pair, count: int, seed: int) -> np.ndarray:
    return render(*pair, sample_latents(*pair, count, seed=seed))


def test_faces_of_32_px_are_found_again_at_35_db() -> None:
    pair = faces()
    pictures = drawn(pair, 6, seed=3)
    found = invert(*pair, pictures, preset="z", nets={})
    scores = psnr(to_uint8(render(*pair, found.latents)), to_uint8(pictures))
    assert scores.min() > 35, scores


def test_the_discriminator_of_the_faces_tells_blurred_ones_from_its_generators() -> None:
    gen, params = faces()
    assert gen.discriminator is not None
    pictures = drawn((gen, params), 32, seed=1)
    blurred = pictures.reshape(32, 8, 4, 8, 4, 3).mean((2, 4)).repeat(4, 1).repeat(4, 2)
    one, other = (gen.discriminator.scores(params, jnp.asarray(x)) for x in (pictures, blurred))
    assert np.abs(one.mean() - other.mean()) > 2 * np.std(one) / 32**0.5
    assert tuple(gen.discriminator.features(params, jnp.asarray(pictures[0]))) == tuple(
        f"layer{i}" for i in range(5)
    )


def test_digits_and_their_critic() -> None:
    judge = WEIGHTS / DIGITS.format("critic")
    gen, params = load_generator(
        str(convert(WEIGHTS / DIGITS.format("generator"), name="mnist28", discriminator=judge))
    )
    assert gen.discriminator is not None
    pictures = drawn((gen, params), 16, seed=2)
    assert pictures.shape == (16, 28, 28, 3)
    noise = np.random.default_rng(0).uniform(-1, 1, pictures.shape)
    one, other = (gen.discriminator.scores(params, jnp.asarray(x)) for x in (pictures, noise))
    assert np.abs(one.mean() - other.mean()) > 4 * (np.std(one) + np.std(other)) / 4


def test_the_discriminator_of_another_generator_is_refused() -> None:
    with pytest.raises(UnsafeFileError, match="no discriminator of images of 32 px"):
        convert(
            WEIGHTS / FACES.format("generator"),
            name="celeba32",
            discriminator=WEIGHTS / DIGITS.format("critic"),
        )
    with pytest.raises(UnsafeFileError, match="no known discriminator in the file"):
        convert(
            WEIGHTS / FACES.format("generator"),
            name="celeba32",
            discriminator=WEIGHTS / DIGITS.format("generator"),
        )


def test_a_discriminator_without_its_layers_facts_is_refused() -> None:
    generator, judge = (WEIGHTS / name for name in ANIME)
    with pytest.raises(UnsafeFileError, match="strides, paddings and activations"):
        convert(generator, name="anime", discriminator=judge)
