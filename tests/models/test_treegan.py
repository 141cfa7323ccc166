"""tree-GAN: what branches, what a cloud is as a picture, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.completion import as_cloud
from jaxinv.inversion.invert import invert
from jaxinv.models.loading import build
from jaxinv.models.rendering import render
from jaxinv.nn.linear import leaky_relu
from jaxinv.specs import Preset, Stage, Term, Variable
from tests.tiny import TREE, style, tree

pytestmark = pytest.mark.usefixtures("quick_compilation")


def by_hand(params: Any, z: np.ndarray) -> np.ndarray:
    """The cloud of z, child by child."""
    layers, support = dict(TREE.facts)["layers"], dict(TREE.facts)["support"]
    above = [[z]]
    for index, (features, degree) in enumerate(layers):
        own = params["synthesis"][f"branch{index}"]
        children = []
        for parent, node in enumerate(above[-1]):
            split = np.asarray(leaky_relu(node @ own["branch_kernel"][parent]))
            for child in range(degree):
                x = split[child * len(node) : (child + 1) * len(node)]
                x = x @ own["loop0"]["kernel"]
                assert x.shape == (len(node) * support,)
                x = x @ own["loop1"]["kernel"]
                place = parent * degree + child
                for level, nodes in enumerate(above):
                    ancestor = nodes[place * len(nodes) // (len(above[-1]) * degree)]
                    x = x + ancestor @ own[f"ancestor{level}"]["kernel"]
                if index < len(layers) - 1:
                    x = np.asarray(leaky_relu(x + own["bias"][child]))
                assert x.shape == (features,)
                children.append(x)
        above.append(children)
    return np.stack(above[-1])


def test_every_child_comes_of_its_own_ancestors() -> None:
    gen, params = tree()
    draws = np.random.default_rng(1)
    params = jax.tree.map(
        lambda a: a + 0.1 * draws.standard_normal(a.shape).astype(a.dtype), params
    )
    z = draws.standard_normal(TREE.z_dim).astype(np.float32)
    (picture,) = render(gen, params, {"z": z[None]})
    np.testing.assert_allclose(as_cloud(gen, picture), by_hand(params, z), atol=2e-4)


def test_the_rest_of_the_square_repeats_points() -> None:
    gen, params = tree()
    (picture,) = render(gen, params, {"z": np.ones((1, TREE.z_dim), np.float32)})
    flat = picture.reshape(-1, 3)
    assert flat.shape == (121, 3)
    np.testing.assert_array_equal(flat[120:], flat[:1])


def test_a_cloud_is_not_made_smaller() -> None:
    gen, params = tree()
    with pytest.raises(ValueError, match="allowed: 11x11"):
        gen.synthesize(params, {"z": jnp.ones(TREE.z_dim)}, 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": 121}, "allowed: 120 points"),
        ({"resolution": 12}, "at 11 px"),
        ({"facts": (("layers", ((12, 1), (4, 120))), ("support", 3))}, "of 4 numbers"),
        ({"facts": (("support", 3),)}, "fit no generator"),
    ],
)
def test_facts_that_fit_no_tree_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(replace(TREE, name="other", **change))


def preset(term: Term, space: str = "z") -> Preset:
    return Preset("own", (Stage((Variable(space),), (term,), 2),), "", "")


def test_pictures_and_clouds_are_not_mixed_up() -> None:
    cloud, picture = np.zeros((1, 11, 11, 3), np.float32), np.zeros((1, 16, 16, 3), np.float32)
    with pytest.raises(ValueError, match=r"draws clouds; allowed: chamfer, patch_variance"):
        invert(*tree(), cloud, preset=preset(Term("mse")), nets={})
    with pytest.raises(ValueError, match=r"draws pictures; allowed: .*mse"):
        invert(*style(), picture, preset=preset(Term("chamfer"), "w"), nets={})
    with pytest.raises(ValueError, match=r"clouds of 8x8 points; allowed: 11x11"):
        invert(*tree(), cloud[:, :8, :8], preset=preset(Term("chamfer")), nets={})
