"""Directions and mappers that a text leads, on the renderer: an embedding whose truth is known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.discovery import styleclip
from jaxinv.edits.discovery.methods import discover
from jaxinv.edits.discovery.requests import Text
from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.edits.editing import edit
from jaxinv.edits.walks import Walk
from jaxinv.models.joint_embedding import JointEmbedding
from jaxinv.types import Array
from tests.edits.renderer import FACTORS, codes, renderer
from tests.tiny import chain

PAIR = renderer()
PLAIN = ("{}",)
SAID = {"a thing": (0, 0, 0), "a light wall": (1, 0, 0), "a bright ball": (0, 1, 0)}


def look(image: Array) -> Array:
    """What a picture shows: how light its corner is, how bright its middle, and how green."""
    return jnp.array([image[0, 0].mean(), image[8, 8].mean(), image[8, 8, 1], 2.0])


def say(texts: Any) -> np.ndarray:
    return np.array([(*SAID[text], 2.0) for text in texts])


JOINT = JointEmbedding(look, say)


def wanted(words: str, threshold: float = 0.9, probes: int = 6) -> Text:
    return Text(words, "a thing", JOINT, PLAIN, threshold, probes)


def test_a_text_moves_the_channel_that_it_names() -> None:
    (found,) = discover("styleclip", *PAIR, text=wanted("a light wall", 0.87), samples=200)
    assert (found.space, found.name) == ("s", "a light wall")
    assert [len(part) for part in found.vector] == [5, 3]
    vector = np.concatenate(found.vector)
    assert [FACTORS[i] for i in np.flatnonzero(vector)] == ["background"]
    np.testing.assert_allclose(vector[7], draw_codes(*PAIR, "s", 200)[0].std(0)[7], rtol=1e-5)


def test_relevance_is_that_of_pictures_with_one_channel_at_five_deviations() -> None:
    (found,) = discover("styleclip", *PAIR, text=wanted("a light wall", 0.0), samples=50)
    styles = draw_codes(*PAIR, "s", 50)[0]
    mean, spread = styles.mean(0), styles.std(0)
    draw = jax.jit(lambda s: look(PAIR[0].synthesize(PAIR[1], {"s": (s[:5], s[5:])})))
    sides = np.empty((8, 6, 2, 4))
    for channel in range(8):
        for image in range(6):
            for side, sign in enumerate((-5, 5)):
                moved = styles[image].copy()
                moved[channel] = mean[channel] + sign * spread[channel]
                sides[channel, image, side] = draw(jnp.asarray(moved))
    effects = styleclip.channel_effects(sides)
    text = styleclip.text_direction(say(["a light wall"]), say(["a thing"]))
    goal = styleclip.global_direction(effects @ text, spread, 0.0)
    np.testing.assert_allclose(np.concatenate(found.vector), goal, atol=1e-4)


@pytest.mark.slow
def test_a_mapper_learns_to_show_what_a_text_says() -> None:
    colours = JointEmbedding(lambda x: look(x)[:3], lambda texts: say(texts)[:, :3])
    text = Text("a bright ball", joint=colours)
    (walk,) = discover("styleclip-mapper", *PAIR, text=text, steps=150)
    assert isinstance(walk, Walk)
    assert (walk.space, walk.options) == ("w+", {"axis": 2})
    gen, params = PAIR
    latents = {"w": codes(8, 9)}
    after = edit(gen, params, latents, [(walk, 1.0)])
    goal = say(["a bright ball"])[0, :3]

    def cosines(some: Any) -> np.ndarray:
        drawn = jax.vmap(lambda one: look(gen.synthesize(params, one))[:3])(some)
        return np.asarray(drawn @ goal / jnp.linalg.norm(drawn, axis=1))

    assert np.mean(cosines(after) - cosines(latents)) > 0.05


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("styleclip", None, "text for method 'styleclip': none; allowed: a text and a neutral"),
        ("styleclip", Text("a", joint=JOINT), "a text; allowed: a text and a neutral one"),
        ("styleclip-mapper", wanted("a light wall"), "a text and a neutral one; allowed: a text"),
        ("sefa", Text("a", joint=JOINT), "method 'sefa': a text; allowed: none"),
        ("styleclip", "a face", "text is 'a face'|Text"),
        ("styleclip", wanted("a light wall", 2.0), "threshold 2.0 keeps no channel"),
    ],
)
def test_texts_are_those_that_a_method_takes(method: str, given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        discover(method, *PAIR, text=given, samples=20)


def test_texts_that_say_nothing_are_refused() -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"words": " "}, "allowed: some words"),
        ({"words": "a", "neutral": "a "}, "allowed: different words"),
        ({"words": "a", "threshold": -1.0}, "threshold"),
        ({"words": "a", "probes": 0}, "probes"),
        ({"words": "a", "templates": ("photo",)}, "template"),
        ({"words": "a", "joint": 3}, "joint"),
    )
    for wrong, words in cases:
        with pytest.raises(ValueError, match=words):
            Text(**wrong)
    with pytest.raises(ValueError, match="looks in s; generator 'chain' has z"):
        discover("styleclip", *chain(), text=wanted("a light wall"))
    other = Text("a light wall", "a thing", JOINT._replace(picture=lambda x: x.mean((0, 1))), PLAIN)
    with pytest.raises(ValueError, match=r"\[1, 4\], a picture as \[3\]; allowed: towers of one"):
        discover("styleclip", *PAIR, text=other, samples=20)
