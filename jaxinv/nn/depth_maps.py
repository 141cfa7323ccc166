"""A surface as a depth map: its normals, its shading, and how it looks from elsewhere.

The camera looks along z; x points right, y down, and lengths are in units of the distance to the
middle of the surface, which is 1 away. Everything is of one sample, and differentiable: where a ray
of a turned camera meets the surface is searched for without gradients, and one step of Newton's
method then gives those of the implicit function. The picture is formed as by Wu et al. 2020
(Unsupervised Learning of Probably Symmetric Deformable 3D Objects).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array

FIELD = 10.0  # degrees that a picture spans
NEAR, FAR, MIDDLE = 0.9, 1.1, 1.0  # depths of surfaces, and the one about which they turn
REACH = 0.16  # how far from the middle a turned surface can be along a ray
COARSE, HALVINGS = 32, 6  # steps along a ray, and halvings of the step that meets the surface
STEEP = 0.2  # least slope by which a step of Newton's method divides


class Scene(NamedTuple):
    """What a picture is drawn of.

    depth: [n, n], z of the surface in every pixel of the camera in front.
    albedo: [n, n, 3] in [-1, 1].
    view: [6], how the surface is turned about its middle: pitch, yaw, roll in radians, and how far
        it is moved right, down and away.
    light: [4], ambient and diffuse strength, and (x, y): the light comes from (x, y, -1).
    """

    depth: Array
    albedo: Array
    view: Array
    light: Array


class Seen(NamedTuple):
    """A surface from a turned camera.

    grid: [side, side, 2], where each pixel lies in the depth map, (-1, -1) to (1, 1) its corners.
    depth: [side, side], z in the turned camera.
    inside: [side, side], whether it lies within the depth map; beyond, its edge goes on.
    """

    grid: Array
    depth: Array
    inside: Array


def rays(side: int) -> Array:
    """Points [side, side, 3] of the centres of all pixels at depth 1."""
    places = ((jnp.arange(side) + 0.5) / side * 2 - 1) * _half_width()
    x, y = jnp.meshgrid(places, places)
    return jnp.stack([x, y, jnp.ones_like(x)], axis=-1)


def points(depth: Array) -> Array:
    """The points [n, n, 3] of a depth map [n, n]."""
    return rays(len(depth)) * depth[..., None]


def project(places: Array) -> Array:
    """Where points [..., 3] appear: [..., 2], the picture is [-1, 1] both ways."""
    return places[..., :2] / (places[..., 2:] * _half_width())


def normals(depth: Array) -> Array:
    """Unit normals [n, n, 3] of a depth map towards the camera; a plane facing it has (0, 0, -1).

    By central differences of its points; at the edges one-sided.
    """
    across, down = (_difference(points(depth), axis) for axis in (1, 0))
    crossed = jnp.cross(down, across)
    return crossed / jnp.linalg.norm(crossed, axis=-1, keepdims=True)


def shade(directions: Array, light: Array) -> Array:
    """Lambert's law: brightness [n, n] of normals [n, n, 3] under a light [4] (see `Scene`)."""
    ambient, diffuse = light[0], light[1]
    towards = jnp.concatenate([light[2:], -jnp.ones(1)])
    towards = towards / jnp.linalg.norm(towards)
    return ambient + diffuse * jnp.maximum(directions @ towards, 0.0)


def rotation(angles: Array) -> Array:
    """The matrix [3, 3] that turns by pitch (about x), then yaw (y), then roll (z), in radians.

    A positive yaw moves what is near to the right, a positive pitch moves it down.
    """
    (cx, cy, cz), (sx, sy, sz) = jnp.cos(angles), jnp.sin(angles)
    zero, one = jnp.zeros(()), jnp.ones(())
    pitch = jnp.array([[one, zero, zero], [zero, cx, -sx], [zero, sx, cx]])
    yaw = jnp.array([[cy, zero, -sy], [zero, one, zero], [sy, zero, cy]])
    roll = jnp.array([[cz, -sz, zero], [sz, cz, zero], [zero, zero, one]])
    return roll @ yaw @ pitch


def turned(places: Array, view: Array) -> Array:
    """Points [..., 3] of the surface as the turned camera has them."""
    middle = jnp.array([0.0, 0.0, MIDDLE])
    return (places - middle) @ rotation(view[:3]).T + middle + view[3:]


def turned_back(places: Array, view: Array) -> Array:
    """The inverse of `turned`."""
    middle = jnp.array([0.0, 0.0, MIDDLE])
    return (places - middle - view[3:]) @ rotation(view[:3]) + middle


def sample(x: Array, grid: Array) -> Array:
    """Values [..., c] of x [h, w, c] between pixels, linearly; the edge goes on beyond it.

    grid: [..., 2], columns and rows, (-1, -1) to (1, 1) the corners of x.
    """
    x, sizes = jnp.asarray(x), jnp.array([x.shape[1], x.shape[0]])
    places = jnp.clip((grid + 1) / 2 * sizes - 0.5, 0.0, sizes - 1.0)
    low = jnp.minimum(jnp.floor(places).astype(jnp.int32), jnp.maximum(sizes - 2, 0))
    part = places - low
    high = jnp.minimum(low + 1, sizes - 1)
    upper = _between(x[low[..., 1], low[..., 0]], x[low[..., 1], high[..., 0]], part[..., :1])
    lower = _between(x[high[..., 1], low[..., 0]], x[high[..., 1], high[..., 0]], part[..., :1])
    return _between(upper, lower, part[..., 1:])


def see(depth: Array, view: Array, side: int) -> Seen:
    """A depth map [n, n] from the camera of `view` [6], in side x side pixels."""
    ray = rays(side)
    surface = jnp.asarray(depth)[..., None]

    def behind(z: Array, surface: Array, view: Array) -> Array:
        """How far the points at depths z of all rays lie behind the surface."""
        place = turned_back(ray * z[..., None], view)
        return place[..., 2] - sample(surface, project(place))[..., 0]

    def slope(z: Array) -> Array:
        given = (surface, view)
        return jax.jvp(lambda at: behind(at, *given), (z,), (jnp.ones_like(z),))[1]

    near = lax.stop_gradient(_first_crossing(lambda z: behind(z, surface, view), view[5], side))
    steep = lax.stop_gradient(jnp.maximum(slope(near), STEEP))
    z = near - behind(near, surface, view) / steep
    grid = project(turned_back(ray * z[..., None], view))
    return Seen(grid, z, jnp.all(jnp.abs(grid) <= 1, axis=-1))


def lit(scene: Scene) -> Array:
    """The picture [n, n, 3] in [-1, 1] from the camera in front, under the light of a scene."""
    bright = shade(normals(scene.depth), scene.light)[..., None]
    return (scene.albedo + 1) * bright - 1


def draw(scene: Scene, side: int) -> tuple[Array, Array]:
    """The picture [side, side, 3] of a scene, and where it shows the surface, [side, side]."""
    seen = see(scene.depth, scene.view, side)
    return sample(lit(scene), seen.grid), seen.inside


def ellipsoid(side: int, radius: float = 0.8, near: float = 0.91, far: float = 1.02) -> Array:
    """Depth [side, side] of half an ellipsoid before a plane: where a search for a shape starts.

    radius: of its rim, in halves of a side; `near` and `far` are the depths of its tip and of the
    plane (Pan et al. 2021, GAN2Shape).
    """
    places = (jnp.arange(side) + 0.5) / side * 2 - 1
    squares = (places[:, None] ** 2 + places[None, :] ** 2) / radius**2
    return far - (far - near) * jnp.sqrt(jnp.maximum(1 - squares, 0.0))


def _first_crossing(behind: Callable[[Array], Array], away: Array, side: int) -> Array:
    """Depths [side, side] at which rays first come from before the surface to behind it."""
    start, step = MIDDLE + away - REACH, 2 * REACH / COARSE

    def walk(state: tuple[Array, Array], number: Array) -> tuple[tuple[Array, Array], None]:
        found, done = state
        z = jnp.full((side, side), start + step * (number + 1))
        met = behind(z) > 0
        return (jnp.where(done | ~met, found, z), done | met), None

    last = jnp.full((side, side), start + step * COARSE)
    (high, _), _ = lax.scan(walk, (last, jnp.zeros((side, side), bool)), jnp.arange(COARSE))

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        met = behind(middle) > 0
        return jnp.where(met, low, middle), jnp.where(met, middle, high)

    low, high = lax.fori_loop(0, HALVINGS, halve, (high - step, high))
    return (low + high) / 2


def _between(a: Array, b: Array, part: Array) -> Array:
    return a + (b - a) * part


def _difference(x: Array, axis: int) -> Array:
    """Central differences along an axis, one-sided at its ends."""
    wide = [x[:1], x, x[-1:]] if axis == 0 else [x[:, :1], x, x[:, -1:]]
    padded = jnp.concatenate(wide, axis=axis)
    count = x.shape[axis]
    ahead = lax.slice_in_dim(padded, 2, 2 + count, axis=axis)
    return ahead - lax.slice_in_dim(padded, 0, count, axis=axis)


def _half_width() -> float:
    return math.tan(math.radians(FIELD / 2))
