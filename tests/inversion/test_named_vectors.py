"""Terms that compare with vectors instead of pictures: closed forms, texts, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.models.rendering import render
from jaxinv.nn.resample import area_reduce
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from tests.engine import SIDE, one, preset, targets
from tests.tiny import linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
LENGTH = 5
SAID = Term("embedding", net="clip", distance="l2", target="text")


def _tower(mix: Any, image: Any) -> Any:
    return mix @ area_reduce(image, 4).ravel()  # of pictures of any size


def tower() -> Any:
    """A linear embedding of pictures, of length 5, as a function with its arrays."""
    mix = np.random.default_rng(0).standard_normal((LENGTH, 48)).astype(np.float32) / 4
    return jax.tree_util.Partial(_tower, jnp.asarray(mix))


def found_by(terms: tuple[Term, ...], steps: int = 60, **given: Any) -> Any:
    gen, params = linear()
    stage = Stage((Variable("w"),), terms, steps, SolverSpec("lbfgs"))
    made = Preset("p", (stage,), "", "")
    start = {"w": np.full((1, 6), 0.5, np.float32)}
    return invert(
        gen, params, targets(1), preset=made, starts=start, nets={"clip": tower()}, **given
    )


def test_a_linear_embedding_and_a_held_code_give_the_ridge() -> None:
    """The code that is nearest to a text, less what its distance from the start costs."""
    gen, params = linear()
    basis = [np.zeros(6, np.float32), *np.eye(6, dtype=np.float32)]
    drawn = np.stack([tower()(gen.synthesize(params, {"w": w}, SIDE)) for w in basis])
    offset, slopes = drawn[0], (drawn[1:] - drawn[0]).T  # [5], [5, 6]
    text = np.random.default_rng(1).standard_normal(LENGTH).astype(np.float32)
    weight, start = 0.3, np.full(6, 0.5)
    found = found_by(
        (SAID, Term("anchor", weight, variable="w", reduction="sum")),
        named_vectors={"text": text[None]},
    )
    square = slopes.T @ slopes / LENGTH + weight * np.eye(6)
    goal = start + np.linalg.solve(square, slopes.T @ (text - offset - slopes @ start) / LENGTH)
    np.testing.assert_allclose(found.latents["w"][0], goal, atol=2e-4)


def test_the_vector_of_a_picture_stands_for_the_picture() -> None:
    terms = (replace(SAID, target="other", distance="cosine"), Term("mse", 0.1))
    other = targets(2)[1:]
    seen = np.asarray(tower()(other[0]))[None]
    by_picture = found_by(terms, 15, named_images={"other": other})
    by_vector = found_by(terms, 15, named_vectors={"other": seen})
    np.testing.assert_allclose(by_vector.latents["w"], by_picture.latents["w"], atol=1e-5)
    assert by_vector.losses[0, 0, -1] < by_vector.losses[0, 0, 0]


def test_every_image_has_its_own_vector() -> None:
    gen, params = linear()
    made = preset(one(terms=(SAID, Term("mse")), steps=10))
    vectors = np.random.default_rng(2).standard_normal((2, LENGTH)).astype(np.float32)
    given = {"preset": made, "nets": {"clip": tower()}}
    both = invert(gen, params, targets(2), named_vectors={"text": vectors}, batch=2, **given)
    for i in range(2):
        alone = invert(
            gen,
            params,
            targets(2)[i : i + 1],
            named_vectors={"text": vectors[i : i + 1]},
            **given,
        )
        np.testing.assert_array_equal(both.latents["w"][i], alone.latents["w"][0])


@pytest.mark.slow
def test_the_presets_of_texts_move_pictures_to_what_is_said() -> None:
    """StyleCLIP's stage leads a flat picture's colour towards the colour that is said."""
    from jaxinv.presets.text import STYLECLIP
    from tests.methods import seen_colours
    from tests.tiny import style

    gen, params = style()
    stage = replace(STYLECLIP.stages[1], steps=25)
    term = replace(stage.terms[0], view=Term("mse").view)
    start = {"w+": np.zeros((1, gen.spec.rows, gen.spec.w_dim), np.float32)}
    given = replace(stage, terms=(term, stage.terms[1]), variables=(Variable("w+"),))
    text = np.array([1.0, -1.0, 0.3], np.float32)
    images = np.asarray(render(gen, params, start))
    nets: dict[str, Any] = {"clip": jax.tree_util.Partial(seen_colours, jnp.eye(3))}
    found = invert(
        gen,
        params,
        images,
        preset=Preset("p", (given,), "", ""),
        starts=start,
        nets=nets,
        named_vectors={"text": text[None]},
    )
    after = np.asarray(render(gen, params, found.latents))

    def cosine(image: np.ndarray) -> float:
        seen = image.mean((0, 1))
        return float(seen @ text / np.linalg.norm(seen) / np.linalg.norm(text))

    assert cosine(after[0]) > cosine(images[0]) + 0.1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs a text: --text WORDS"),
        ({"named_images": {"text": targets(1)}}, "picture of preset 'p'.*allowed: none"),
        ({"named_vectors": {"word": np.ones((1, 5))}}, "allowed: text"),
        ({"named_vectors": {"text": np.ones((2, 5))}}, r"has shape \[2, 5\]; allowed: \[1, n\]"),
        ({"named_vectors": {"text": np.ones(5)}}, r"allowed: \[1, n\]"),
        ({"named_vectors": {"text": np.zeros((1, 5))}}, "is all 0"),
        ({"named_vectors": {"text": np.full((1, 5), np.nan)}}, "finite"),
        ({"named_vectors": {"text": np.ones((1, 4))}}, "is 4 numbers.*as 5; allowed: one space"),
        ({"named_vectors": np.ones((1, 5))}, "named_vectors"),
    ],
)
def test_vectors_must_be_those_that_terms_name(given: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        found_by((SAID,), **given)


def test_only_embeddings_compare_with_texts_and_vectors() -> None:
    with pytest.raises(ValueError, match="takes no target, got 'text'"):
        Term("mse", target="text")
    with pytest.raises(ValueError, match="compared by term 'mse-other'"):
        found_by((Term("mse", target="other"),), named_vectors={"other": np.ones((1, 5))})
