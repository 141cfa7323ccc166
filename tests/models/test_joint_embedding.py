"""Joint embeddings of pictures and texts: CLIP's, any other, and towers that do not fit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models.features.named_layers import shapes_of
from jaxinv.models.features.nets import build_net
from jaxinv.models.joint_embedding import (
    JointEmbedding,
    check_templates,
    clip_embedding,
    embed_sentences,
    embed_texts,
)
from tests.small_clip import LENGTH, Tokens, small_clip, speak


@pytest.mark.slow
def test_both_towers_of_a_clip_lead_into_one_space(monkeypatch: pytest.MonkeyPatch) -> None:
    speak(monkeypatch)
    params = small_clip()
    joint, net = clip_embedding(params), build_net("clip", shapes_of(params))
    texts = ["a face", "a face with glasses"]
    found = embed_texts(joint, [texts[0], f" {texts[1]} "])
    assert net.text is not None
    goal = [net.text(params, ids) for ids in Tokens()(texts)]
    np.testing.assert_allclose(found, np.stack(goal), rtol=1e-5, atol=1e-6)
    image = jnp.linspace(-1, 1, 20 * 20 * 3).reshape(20, 20, 3)
    seen = jax.jit(lambda see, x: see(x))(joint.picture, image)
    assert seen.shape == (LENGTH,)
    np.testing.assert_allclose(jnp.linalg.norm(seen), 1, rtol=1e-5)
    sentences = embed_sentences(joint, "glasses", ("{}", "a face with {}"))
    np.testing.assert_allclose(sentences[1], embed_texts(joint, ["a face with glasses"])[0])


def joint(seen: int = 3) -> JointEmbedding:
    """Texts of 3 numbers, and pictures of `seen`."""
    return JointEmbedding(
        lambda x: jnp.ones(seen) * x.mean(), lambda texts: np.ones((len(texts), 3))
    )


@pytest.mark.parametrize(
    ("given", "texts", "words"),
    [
        (joint(seen=4), ["a"], r"texts are embedded as \[1, 3\], a picture as \[4\]"),
        (joint(), [" "], "text is ' '; allowed: some words"),
        (joint(), [""], "allowed: some words"),
        (joint(), "a", "texts"),
        (joint()._replace(texts=lambda texts: np.full((1, 3), np.nan)), ["a"], "finite"),
        (joint()._replace(texts=lambda texts: np.ones((2, 3))), ["a"], r"allowed: .*\[1, n\]"),
        (joint()._replace(picture="clip"), ["a"], "picture of a joint embedding"),
        ("clip", ["a"], "clip_embedding"),
    ],
)
def test_what_is_no_pair_of_towers_is_refused(given: Any, texts: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        embed_texts(given, texts)


def test_towers_of_two_files_are_refused() -> None:
    mixed = small_clip() | {"text_projection": np.ones((64, LENGTH + 1), np.float32)}
    with pytest.raises(ValueError, match="pictures of 6 numbers, texts of 7; allowed: one space"):
        build_net("clip", shapes_of(mixed))


@pytest.mark.parametrize("wrong", [[], ["a photo"], ["{} and {}"], [3], "{}"])
def test_sentences_have_one_place_for_a_text(wrong: Any) -> None:
    with pytest.raises(ValueError, match="template"):
        check_templates(wrong)
