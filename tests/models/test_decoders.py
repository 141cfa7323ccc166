"""The newer decoders: cases that are known without their files, and searches in their spaces."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.io.latent_files import fit_latents
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators.wavegan import Layer, Lengthen
from jaxinv.models.rendering import render
from jaxinv.nn import volume
from jaxinv.nn.grouped import grouped_conv
from jaxinv.nn.linear_attention import neighbour_attention
from jaxinv.nn.windows import far_apart, offsets
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from tests.tiers import mostly_slow
from tests.tiny_decoders import MAKERS, SPECS

DRAWS = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return DRAWS.standard_normal(shape).astype(np.float32)


def test_groups_see_only_themselves() -> None:
    x, kernel = draw(5, 4, 6), draw(3, 3, 3, 2, 2)
    whole = np.asarray(grouped_conv(jnp.asarray(x), jnp.asarray(kernel)))
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    for group in range(3):
        own = padded[..., 2 * group : 2 * group + 2]
        by_hand = sum(
            own[r : r + 5, c : c + 4] @ kernel[r, c, group] for r in range(3) for c in range(3)
        )
        np.testing.assert_allclose(whole[..., 2 * group : 2 * group + 2], by_hand, atol=1e-5)


@pytest.mark.parametrize("factor", [4, 2])
def test_a_transposed_convolution_along_time_is_a_sum_of_shifted_kernels(factor: int) -> None:
    # Stride `factor`, padding 11, output padding 1, as the code of WaveGAN calls it.
    x, kernel = draw(6, 3), draw(25, 3, 2)
    whole = np.zeros((6 * factor + 64, 2))
    for place, sample in enumerate(x):
        whole[place * factor : place * factor + 25] += np.einsum("i,tio->to", sample, kernel)
    length = (6 - 1) * factor + 25 - 2 * 11 + 1
    module = Lengthen(Layer(2, 25, factor, True))
    params = {"kernel": jnp.asarray(kernel[::-1, None]), "bias": jnp.zeros(2)}
    found: Any = module.apply({"params": params}, jnp.asarray(x)[:, None])
    np.testing.assert_allclose(found[:, 0], whole[11 : 11 + length], atol=1e-4)


def test_pixels_of_one_window_know_their_offsets_and_what_a_shift_brought_together() -> None:
    assert offsets(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    far = far_apart((4, 4), 2)
    assert far.shape == (4, 4, 4)
    assert not far[0].any()
    assert (far[3] + 100 * (1 - np.eye(4)) == 0).all()


def test_neighbours_beyond_the_edge_are_zeros_that_take_their_share() -> None:
    one = jnp.ones((1, 1, 64))
    share = np.exp(8.0) / (np.exp(8.0) + 8)
    np.testing.assert_allclose(neighbour_attention(one, one, one), share, rtol=1e-6)


def test_a_camera_in_front_looks_back_at_its_pivot() -> None:
    world = np.asarray(volume.pose(jnp.zeros(2), 2.7, (0.0, 0.0, 0.2)))
    np.testing.assert_allclose(world, [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2.9], [0, 0, 0, 1]])
    for angles in ((0.3, 0.2), (-1.0, 0.7)):
        turned = np.asarray(volume.pose(jnp.asarray(angles), 2.7, (0.0, 0.0, 0.2)))
        np.testing.assert_allclose(turned[:3, :3] @ turned[:3, :3].T, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(turned[:3, 3] + 2.7 * turned[:3, 2], [0, 0, 0.2], atol=1e-6)


def test_an_opaque_slab_is_seen_at_its_depth() -> None:
    rays = volume.Rays(jnp.zeros((3, 3)), jnp.tile(jnp.asarray([0.0, 0.0, 1.0]), (3, 1)))
    sampling = volume.Sampling(32, 32, 1.0, 3.0, 1.0, False, True)

    def slab(points: jax.Array) -> tuple[jax.Array, jax.Array]:
        inside = points[..., 2] > 2
        return jnp.full((*points.shape[:-1], 4), 0.25), jnp.where(inside, 1e4, -1e4)

    seen = volume.see(slab, rays, sampling, volume.middle_draws(3, sampling))
    np.testing.assert_allclose(seen.features, -0.5, atol=1e-5)
    np.testing.assert_allclose(seen.depth, 2.0, atol=2 / 31)
    empty = volume.see(
        lambda p: (slab(p)[0], jnp.full(p.shape[:-1], -1e4)),
        rays, sampling, volume.middle_draws(3, sampling),
    )  # fmt: skip
    np.testing.assert_allclose(empty.features, 1.0, atol=1e-5)


def test_rays_end_at_the_box_where_no_range_is_given() -> None:
    rays = volume.Rays(
        jnp.asarray([[0.0, 0.0, 3.0]] * 2), jnp.asarray([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    )
    sampling = volume.Sampling(3, 0, 0.0, 0.0, 2.0, False, False)
    depths = np.asarray(volume.coarse_depths(rays, sampling, jnp.zeros((2, 3))))
    np.testing.assert_allclose(depths[0], [2, 3, 4])
    np.testing.assert_allclose(depths[1], [2, 2, 2])  # it misses: see `_box_limits`


@pytest.mark.parametrize("camera", [(0.0, 1.6), (3.2, 0.0), (float("nan"), 0.0)])
def test_a_camera_that_is_not_on_its_orbit_is_refused(camera: tuple[float, float]) -> None:
    latents = {"w": np.zeros(8, np.float32), "camera": np.asarray(camera, np.float32)}
    with pytest.raises(ValueError, match=r"camera of yaw .* allowed: yaw from -pi to pi"):
        fit_latents(SPECS["eg3d"], latents)


def found(name: str) -> Any:
    """A search of a picture that the generator drew, in its own space."""
    gen, params = MAKERS[name]()
    truth = draw_prior(gen.spec, jax.random.key(1))
    batched = jax.tree.map(lambda leaf: np.asarray(leaf)[None], truth)
    pictures = render(gen, params, batched)
    free = (Variable("w" if gen.spec.w_dim else "z"),)
    free += (Variable("camera"),) if gen.spec.camera else ()
    stage = Stage(free, (Term("mse"),), 40, solver=SolverSpec("adam", 0.05))
    given = {"labels": [int(np.argmax(truth["label"]))]} if gen.spec.labels else {}
    preset = Preset("own", (stage,), "mean square alone", "of this test")
    return invert(gen, params, pictures, preset=preset, nets={}, **given)


@pytest.mark.parametrize("name", mostly_slow(SPECS, ["r3gan"]))
def test_a_search_in_its_own_space_lowers_the_loss(name: str) -> None:
    losses = np.asarray(found(name).losses)[0, 0]
    assert losses[-1] < 0.7 * losses[0], losses


WITHOUT_W = [name for name, spec in SPECS.items() if not spec.w_dim]


@pytest.mark.parametrize("name", mostly_slow(WITHOUT_W, WITHOUT_W[:1]))
def test_presets_of_spaces_that_are_not_there_are_refused(name: str) -> None:
    gen, params = MAKERS[name]()
    given = {"labels": [0]} if gen.spec.labels else {}
    pictures = np.zeros((1, 16, 16, 3), np.float32)
    with pytest.raises(ValueError, match=r"allowed|has z"):
        invert(gen, params, pictures, preset="image2stylegan", nets={}, **given)
