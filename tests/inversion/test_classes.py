"""`invert` with generators that draw classes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.models.rendering import render
from jaxinv.specs import InitSpec, SolverSpec, Variable
from tests.engine import one, preset
from tests.tiny import classes, linear

LBFGS = SolverSpec("lbfgs", options=(("history", 3),))


def test_the_class_of_every_image_is_kept_and_drawn_with() -> None:
    gen, params = classes()
    z = jax.random.normal(jax.random.key(1), (2, 9))
    label = jax.nn.one_hot(jnp.asarray([3, 7]), 10)
    pictures = render(gen, params, {"z": z, "label": label})
    made = preset(one(Variable("z", init=InitSpec("prior")), steps=4, solver=LBFGS))
    found = invert(gen, params, pictures, preset=made, labels=[3, 7], nets={}, restarts=2)
    np.testing.assert_array_equal(found.latents["label"], label)
    again = render(gen, params, found.latents)
    np.testing.assert_allclose(np.mean((again - pictures) ** 2, (1, 2, 3)), found.loss, rtol=1e-3)


def test_of_several_classes_that_of_the_picture_is_found() -> None:
    gen, params = classes()
    z = jax.random.normal(jax.random.key(1), (2, 9))
    pictures = render(gen, params, {"z": z, "label": jax.nn.one_hot(jnp.asarray([3, 7]), 10)})
    made = preset(one(Variable("z", init=InitSpec("given")), steps=2, solver=LBFGS))
    options = {"preset": made, "nets": {}, "starts": {"z": z}}
    found = invert(gen, params, pictures, labels=[[1, 7, 3], (7, 3, 5)], restarts=1, **options)
    np.testing.assert_array_equal(np.argmax(found.latents["label"], 1), [3, 7])
    assert found.losses.shape[:2] == (2, 3)  # each class is a start of its own
    np.testing.assert_array_equal(found.best, [2, 0])
    alone = invert(gen, params, pictures, labels=[3, 7], **options)
    again = invert(gen, params, pictures, labels=[[3], [7]], **options)
    np.testing.assert_array_equal(alone.latents["z"], again.latents["z"])


@pytest.mark.parametrize(
    ("make", "labels", "message"),
    [
        (classes, None, "'classes' draws classes: give a label per image"),
        (classes, [1], "1 labels; allowed: 2, one per image"),
        (classes, [1, 10], "label 10; allowed: 0 to 9"),
        (classes, [(1, 10), (1, 2)], "label 10; allowed: 0 to 9"),
        (classes, [(1, 2), (3,)], "as many different ones for each"),
        (classes, [(1, 1), (3, 4)], "as many different ones for each"),
        (classes, [(), ()], "as many different ones for each"),
        (linear, [1, 1], "label 1: generator 'linear' has no classes"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    make: Any, labels: list[Any] | None, message: str
) -> None:
    (gen, params), made = make(), preset(one(Variable("z", init=InitSpec("prior")), steps=1))
    with pytest.raises(ValueError, match=message):
        invert(gen, params, np.zeros((2, 16, 16, 3)), preset=made, labels=labels, nets={})
