"""Searches that begin where an encoder says, at every stage, also of projected gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.presets import PRESETS
from jaxinv.specs import InitSpec, OperatorSpec, Variable
from jaxinv.specs.vocabulary import ENCODER, OUTPUT
from tests.engine import one, preset
from tests.tiny import draw, linear, solve_linear

pytestmark = pytest.mark.usefixtures("quick_compilation")


def project(arrays: tuple[Any, Any], image: Any) -> dict[str, Any]:
    """The exact w of a picture of the linear generator, by least squares."""
    matrix, rest = arrays
    code = matrix @ (image - rest).ravel()
    return {OUTPUT: code, "w": code}


def exact() -> Any:
    """The encoder that is exact where pictures are linear."""
    zero = np.zeros((16, 16, 3), np.float32)
    rest = np.asarray(linear()[0].synthesize(linear()[1], {"w": jnp.zeros(6)}))
    columns = [
        np.asarray(linear()[0].synthesize(linear()[1], {"w": jnp.eye(6)[i]})) - rest
        for i in range(6)
    ]
    basis = np.stack([column.ravel() for column in columns], axis=1)
    matrix = jnp.asarray(np.linalg.pinv(basis), jnp.float32)
    return jax.tree_util.Partial(project, (matrix, jnp.asarray(rest + zero)))


def test_a_search_begins_at_what_the_encoder_sees() -> None:
    made = preset(one(Variable("w", init=InitSpec("encoder")), steps=1))
    pictures = draw(linear(), 3, 2)
    found = invert(*linear(), pictures, preset=made, nets={ENCODER: exact()})
    expected = np.stack([solve_linear(picture, "w") for picture in pictures])
    np.testing.assert_allclose(found.latents["w"], expected, atol=1e-3)


def test_projected_gradients_take_the_encoder_for_their_projector() -> None:
    """With an exact projector, measurements that say enough lead to the picture."""
    npgd = PRESETS["npgd"]
    stages = tuple(
        replace(stage, variables=(Variable("w", init=InitSpec("encoder")),))
        for stage in npgd.stages
    )
    operator = OperatorSpec("hole", share=0.5)
    made = replace(npgd, stages=stages, operator=operator)
    pictures = draw(linear(), 4, 1)
    hidden = np.array(pictures)
    hidden[:, 4:12, 4:12] = 0
    found = invert(*linear(), hidden, preset=made, nets={ENCODER: exact()})
    again = np.asarray(linear()[0].synthesize(linear()[1], {"w": found.latents["w"][0]}))
    first = np.abs(hidden - pictures).mean()
    assert np.abs(again - pictures[0]).mean() < 0.05 * first


def test_an_encoder_that_is_not_given_is_asked_for() -> None:
    made = preset(one(Variable("w", init=InitSpec("encoder"))))
    for nets, told in ((None, "net 'encoder' is missing"), ({}, "needs the nets encoder")):
        with pytest.raises(ValueError, match=told):
            invert(*linear(), draw(linear(), 3, 1), preset=made, nets=nets)
