"""The renderer of depth maps: planes and spheres whose normals are known, views, and gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.nn import depth_maps
from jaxinv.nn.depth_maps import MIDDLE, Scene

pytestmark = pytest.mark.usefixtures("quick_compilation")
SIDE = 32
see = jax.jit(depth_maps.see, static_argnums=2)
draw = jax.jit(depth_maps.draw, static_argnums=1)
normals = jax.jit(depth_maps.normals)


def plane(a: float, b: float, side: int = SIDE) -> jax.Array:
    """Depth of the plane z = 1 + a x + b y along every ray."""
    ray = depth_maps.rays(side)
    return 1 / (1 - a * ray[..., 0] - b * ray[..., 1])


def sphere(radius: float, side: int = SIDE) -> tuple[jax.Array, np.ndarray]:
    """Depth of a sphere about the middle along every ray, and where rays meet it."""
    ray = depth_maps.rays(side)
    length = jnp.sum(ray * ray, -1)
    root = 1 - length * (1 - radius**2)
    return (1 - jnp.sqrt(jnp.maximum(root, 0))) / length, np.asarray(root > 0)


def bumps(side: int = SIDE) -> jax.Array:
    places = np.linspace(-1, 1, side)
    x, y = np.meshgrid(places, places)
    return jnp.asarray(1 - 0.05 * np.exp(-3 * (x**2 + y**2)) + 0.01 * np.sin(4 * x), jnp.float32)


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.5, 0.0), (-0.3, 0.7)])
def test_normals_of_a_plane_are_its_own(a: float, b: float) -> None:
    found = normals(plane(a, b))
    wanted = np.array([a, b, -1]) / np.sqrt(a * a + b * b + 1)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=2e-3)


def test_normals_of_a_sphere_point_away_from_its_centre() -> None:
    depth, met = sphere(0.07, 64)
    outward = (np.asarray(depth_maps.points(depth)) - [0, 0, 1]) / 0.07
    inner = met & (np.abs(outward[..., 2]) > 0.5)  # the rim is steeper than a pixel resolves
    inner[1:-1, 1:-1] &= met[:-2, 1:-1] & met[2:, 1:-1] & met[1:-1, :-2] & met[1:-1, 2:]
    found = np.asarray(normals(depth))
    assert np.sum(found[inner] * outward[inner], -1).min() > 0.999
    assert inner.sum() > 500


def test_lambert_shading_by_hand() -> None:
    facing = jnp.array([[[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    light = jnp.array([0.2, 0.5, 1.0, 0.0])  # from the right, 45 degrees
    found = depth_maps.shade(facing, light)
    np.testing.assert_allclose(found[0], [0.2 + 0.5 / 2**0.5, 0.2 + 0.5 / 2**0.5, 0.2], rtol=1e-6)


def test_an_unturned_surface_is_seen_as_it_is() -> None:
    depth = bumps()
    seen = see(depth, jnp.zeros(6), SIDE)
    places = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    np.testing.assert_allclose(seen.grid[..., 0], np.tile(places, (SIDE, 1)), atol=1e-4)
    np.testing.assert_allclose(seen.grid[..., 1], np.tile(places, (SIDE, 1)).T, atol=1e-4)
    np.testing.assert_allclose(seen.depth, depth, atol=1e-5)
    assert bool(seen.inside.all())


def test_rotations_are_rotations_and_are_undone() -> None:
    view = jnp.array([0.3, -0.5, 0.2, 0.01, -0.02, 0.03])
    matrix = depth_maps.rotation(view[:3])
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    assert float(jnp.linalg.det(matrix)) == pytest.approx(1, abs=1e-5)
    places = depth_maps.points(bumps())
    back = depth_maps.turned_back(depth_maps.turned(places, view), view)
    np.testing.assert_allclose(back, places, atol=1e-6)


@pytest.mark.parametrize("view", [(0.0, 0.3, 0.0), (0.25, 0.0, 0.0), (-0.2, 0.2, 0.4)])
def test_what_a_turned_camera_sees_lies_on_the_surface(view: tuple[float, ...]) -> None:
    """Each pixel's point, turned back, has the depth of the map where it appears."""
    depth, at = bumps(), jnp.array([*view, 0.005, -0.003, 0.01])
    seen = see(depth, at, SIDE)
    place = depth_maps.turned_back(depth_maps.rays(SIDE) * seen.depth[..., None], at)
    np.testing.assert_allclose(depth_maps.project(place), seen.grid, atol=1e-4)
    height = depth_maps.sample(depth[..., None], seen.grid)[..., 0]
    inside = np.asarray(seen.inside)
    np.testing.assert_allclose(place[..., 2][inside], height[inside], atol=2e-4)
    assert inside.mean() > 0.5


def test_a_sphere_looks_the_same_from_everywhere() -> None:
    """A turn about its own centre moves no point of a sphere out of it."""
    depth, met = sphere(0.08, 48)
    depth = jnp.where(met, depth, MIDDLE)  # a disc behind the sphere
    seen = see(depth, jnp.array([0.0, 0.3, 0.0, 0.0, 0.0, 0.0]), 48)
    inner = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, 48)] * 2)) < 0.5
    np.testing.assert_allclose(seen.depth[inner], depth[inner], atol=3e-4)


def test_yaw_and_pitch_move_what_is_near_to_the_right_and_down() -> None:
    tip = jnp.array([0.0, 0.0, 0.92])
    right = depth_maps.project(depth_maps.turned(tip, jnp.zeros(6).at[1].set(0.2)))
    down = depth_maps.project(depth_maps.turned(tip, jnp.zeros(6).at[0].set(0.2)))
    assert right[0] > 0.1 > abs(float(right[1]))
    assert down[1] > 0.1


def test_a_nearer_part_hides_what_is_behind_it() -> None:
    """A wall before a plane, seen from the side: rays stop at the wall."""
    depth = jnp.full((64, 64), 1.05).at[:, 24:40].set(0.95)
    seen = see(depth, jnp.zeros(6).at[1].set(0.5), 64)
    line = np.asarray(seen.grid[32, :, 0])
    assert (np.diff(line) > -1e-3).all()  # nothing is seen twice
    assert np.diff(line).max() > 0.15  # a part of the plane is hidden


@pytest.mark.parametrize("field", ["depth", "albedo", "view", "light"])
def test_gradients_are_those_of_finite_differences(field: str) -> None:
    scene = Scene(
        bumps(16),
        jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (16, 16, 3)), jnp.float32),
        jnp.array([0.1, -0.2, 0.05, 0.004, 0.002, 0.01]),
        jnp.array([0.5, 0.4, 0.3, -0.2]),
    )
    smooth = jax.image.resize(scene.albedo[:4, :4], (16, 16, 3), "cubic")
    scene = scene._replace(albedo=smooth)
    weights = jnp.asarray(np.random.default_rng(1).standard_normal((16, 16, 3)), jnp.float32)
    value = getattr(scene, field)
    places = np.linspace(-1, 1, 16)
    hill = np.exp(-2 * (places[:, None] ** 2 + places[None] ** 2))
    way = {
        "depth": hill,
        "albedo": np.repeat(hill[..., None], 3, -1),
        "view": np.array([0.3, 0.4, -0.2, 0.02, 0.03, 0.01]),
        "light": np.array([0.1, 0.3, 0.5, -0.4]),
    }[field].astype(np.float32)

    def loss(along: jax.Array) -> jax.Array:
        return jnp.mean(weights * draw(scene._replace(**{field: value + along * way}), 16)[0])

    slope = jax.jit(jax.grad(loss))(0.0)
    step = 2e-3
    finite = (loss(jnp.asarray(step)) - loss(jnp.asarray(-step))) / (2 * step)
    assert float(slope) == pytest.approx(float(finite), rel=0.08, abs=2e-4)
    assert abs(float(slope)) > 1e-4


def test_sampling_beyond_the_edge_repeats_it() -> None:
    x = jnp.arange(4.0).reshape(2, 2, 1)
    corners = jnp.array([[-3.0, -3.0], [3.0, -3.0], [0.0, 0.0], [-0.5, 5.0]])
    np.testing.assert_allclose(depth_maps.sample(x, corners)[:, 0], [0, 1, 1.5, 2])
