"""Terms of what nets see as a whole, of known codes and of critics: closed forms, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.compatibility import check_weights
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import extract_features, term_value
from jaxinv.models.features import picture_labels
from jaxinv.models.features.nets import BUILDERS
from jaxinv.models.loading import load_features
from jaxinv.specs import Preset, Stage, Term, Variable
from jaxinv.specs.vocabulary import ATTRIBUTE, CONVERTED_NETS, CRITIC, ENCODER, OUTPUT
from jaxinv.types import Array
from tests.judged import picture
from tests.tiny import linear

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6)), jnp.float32)


def mean_colour(weights: Array, image: Array) -> dict[str, Array]:
    colour = jnp.mean(image, (0, 1)) * weights
    return {OUTPUT: colour, "twice": 2 * colour[:2]}


def rows_seen(weights: Array, image: Array) -> Array:
    return jnp.mean(image) + weights


def score(weights: Array, code: Array) -> Array:
    return code @ weights


COLOUR: Any = jax.tree_util.Partial(mean_colour, jnp.asarray([1.0, 2.0, 3.0]))


def measure(term: Term, nets: dict[str, Any], **others: Any) -> Array:
    a, b = picture(0), picture(1)
    given = TermInputs({}, {}, a, extract_features((term,), nets, a), nets=nets, **others)
    return term_value(term, given._replace(target=extract_features((term,), nets, b)))


@pytest.mark.parametrize(
    ("layers", "distance"),
    [((), "l2"), ((), "cosine"), (("twice",), "l1"), ((OUTPUT, "twice"), "norm")],
)
def test_a_function_of_pictures_is_compared_by_its_outputs(
    layers: tuple[str, ...], distance: str
) -> None:
    term = Term("embedding", net=ATTRIBUTE, layers=layers, distance=distance)
    ours, theirs = (mean_colour(jnp.asarray([1.0, 2, 3]), picture(i)) for i in (0, 1))
    expected = 0.0
    for name in layers or (OUTPUT,):
        x, y = np.asarray(ours[name]), np.asarray(theirs[name])
        expected += {
            "l2": np.mean((x - y) ** 2),
            "l1": np.mean(np.abs(x - y)),
            "cosine": 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y),
            "norm": np.linalg.norm(x - y),
        }[distance]
    np.testing.assert_allclose(measure(term, {ATTRIBUTE: COLOUR}), expected, rtol=1e-4)


def test_the_cycle_of_an_encoder_is_a_mean_square() -> None:
    nets: Any = {ENCODER: jax.tree_util.Partial(rows_seen, ROWS)}
    code = ROWS + jnp.mean(picture(0))
    for latents, expected in (({"w+": code}, 0.0), ({"w+": code + 0.5}, 0.25)):
        given = TermInputs({}, latents, picture(0), {})
        found = extract_features((term := Term("encoder_cycle"),), nets, picture(0))
        value = term_value(term, given._replace(features=found))
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(("distance", "expected"), [("l2", 0.25), ("cosine", None)])
def test_a_known_code_is_regressed_row_by_row(distance: str, expected: float | None) -> None:
    term = Term("latent", variable="w+", distance=distance)
    code = ROWS + 0.5
    if expected is None:
        products = np.sum(np.asarray(ROWS * code), 1)
        lengths = np.linalg.norm(ROWS, axis=1) * np.linalg.norm(code, axis=1)
        expected = float(np.mean(1 - products / lengths))
    given = TermInputs({}, {"w+": code}, ROWS, {}, known={"w+": ROWS})
    np.testing.assert_allclose(term_value(term, given), expected, rtol=1e-5)


def test_codes_are_judged_row_by_row() -> None:
    nets: Any = {CRITIC: jax.tree_util.Partial(score, jnp.ones(6))}
    given = TermInputs({}, {"w+": ROWS}, ROWS, {}, nets=nets)
    expected = np.mean(np.log1p(np.exp(-np.asarray(ROWS).sum(1))))
    found = term_value(Term("code_realism", variable="w+"), given)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["latent", "code_realism"])
def test_terms_of_training_are_no_terms_of_a_search(name: str) -> None:
    with pytest.raises(ValueError, match=f"term '{name}'; allowed: where an encoder is trained"):
        Stage((Variable("w+"),), (Term("mse"), Term(name, variable="w+")), 1)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("arcface-ir", "convert FILE --name arcface-ir"),
        ("face-landmarks", "pull attributes"),
        ("moco-resnet50", "convert FILE --name moco-resnet50"),
    ],
)
def test_a_missing_net_is_named_with_how_to_get_it(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=f"net '{name}' is missing: run `jaxinv {what}`"):
        load_features((name,))


def test_nets_and_their_outputs_are_asked_for_before_a_search() -> None:
    gen, params = linear()
    for layer, nets, told in (
        ("twice", {}, "needs the nets attribute; given: none"),
        ("thrice", {ATTRIBUTE: COLOUR}, "layer of 'attribute' 'thrice'; allowed: output, twice"),
    ):
        term = Term("embedding", net=ATTRIBUTE, layers=(layer,))
        stage = Stage((Variable("z"),), (Term("mse"), term), 1)
        with pytest.raises(ValueError, match=told):
            check_weights(gen, Preset("p", (stage,), "", ""), params, nets)


def test_words_of_nets_are_those_that_can_be_built() -> None:
    assert set(CONVERTED_NETS) == set(BUILDERS) - {picture_labels.ARCHITECTURE}
    with pytest.raises(ValueError, match="net of term 'embedding' 'dlib'; allowed: inception-fid"):
        Term("embedding", net="dlib")
