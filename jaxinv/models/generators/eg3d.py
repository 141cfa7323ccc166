"""EG3D (Chan et al. 2022, arXiv:2112.07945): a StyleGAN2 draws three planes, a camera sees them.

A point's features are the mean of those of its projections; a small decoder gives colours and
densities, which are rendered along rays, and a superresolution makes the image. The camera is a
part of the latents: two angles, yaw and pitch in radians, on the orbit of the training, or the
whole [25] of a matrix from camera to world and intrinsics. w comes of z and of a camera too, by
default the one in front. Samples stand in the middle of their steps, where the published code
draws them at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.models.generators.stylegan2 import Layer, Synthesis, ToRGB
from jaxinv.nn import volume
from jaxinv.nn.linear import Linear
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce, blur_double

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State

PLANES, ANGLES, MATRIX = 3, 2, 25


class Orbit(NamedTuple):
    """Where cameras stand: distance from a point that they look at; the focal length in sides."""

    radius: float
    pivot: tuple[float, ...]
    focal: float


class Enlarging(NamedTuple):
    """The superresolution: side of its input, channels of its two blocks, whether each doubles.

    `always`: the input is resized where it is larger, too.
    """

    side: int
    widths: tuple[int, int]
    doubles: tuple[bool, bool]
    clamp: float | None
    always: bool


class Plan(NamedTuple):
    """Facts of a network: channels of the planes' StyleGAN2, and all that follows it.

    `channels` of a plane; `hidden` of the decoder; `side` of the rendering.
    """

    widths: tuple[int, ...]
    clamp: float | None
    channels: int
    hidden: int
    side: int
    sampling: volume.Sampling
    enlarging: Enlarging
    orbit: Orbit


class Block(Module):
    """Two convolutions and an image of the superresolution."""

    channels: tuple[int, int]
    side: int
    up: bool
    clamp: float | None

    def setup(self) -> None:
        inside, outside = self.channels
        self.conv0 = Layer((inside, outside), self.side, self.up, self.clamp)
        self.conv1 = Layer((outside, outside), self.side, False, self.clamp)
        self.torgb = ToRGB(outside, self.clamp)

    def __call__(self, state: State, s: tuple[Array, ...]) -> State:
        """{"x": [h, w, in], "image": [h, w, 3]} and three styles -> the same of this block."""
        x = self.conv1(self.conv0(state["x"], s[0], None), s[1], None)
        before = blur_double(state["image"]) if self.up else state["image"]
        return {**state, "x": x, "image": before + self.torgb(x, s[2])}


class Rendered(Module):
    """(styles, camera) -> image."""

    plan: Plan

    @property
    def steps(self) -> tuple[str, ...]:
        """Those of the planes, the rendering, and two blocks of the superresolution."""
        planes = base.block_steps(len(self.plan.widths))[1:]
        return (*planes, "render", "sr0", "sr1")

    def setup(self) -> None:
        plan = self.plan
        self.backbone = Synthesis(plan.widths, plan.clamp, PLANES * plan.channels)
        self.fc0, self.fc1 = Linear(plan.hidden), Linear(1 + plan.channels)
        sides = sides_of(plan.enlarging)
        inputs = (plan.channels, plan.enlarging.widths[0])
        self.blocks = [
            Block((inside, outside), side, up, plan.enlarging.clamp, name=f"sr{index}")
            for index, (inside, outside, side, up) in enumerate(
                zip(inputs, plan.enlarging.widths, sides, plan.enlarging.doubles, strict=True)
            )
        ]

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> the styles of the planes, then those of the superresolution.

        All of the latter come of the last row.
        """
        layers = [part for block in self.blocks for part in (block.conv0, block.conv1, block.torgb)]
        return (*self.backbone.affine(w), *(layer.style(w[-1]) for layer in layers))

    def step(self, index: int, state: State, code: Any, noise: Any) -> State:
        """One step: "x" and "image", the planes [h, w, 3 channels], or what the camera sees.

        After the rendering there is "depth" [side, side] too.
        """
        s, camera = code
        first = len(self.steps) - 3
        if index < first:
            return self.backbone.step(index, state, s, noise)
        if index == first:
            return self.rendered(state["image"], camera)
        styles = s[len(s) - 6 :][3 * (index - first - 1) :][:3]
        before = self.resized(state) if index == first + 1 else state
        return self.blocks[index - first - 1](before, styles)

    def rendered(self, planes: Array, camera: Array, draws: volume.Draws | None = None) -> State:
        """What a camera sees of planes [h, w, 3 channels]: features, colours and depth.

        `draws` are the places of samples within their steps (see `volume.middle_draws`).
        """
        plan = self.plan
        rays = volume.rays_of(camera_of(camera, plan.orbit), plan.side)
        given = draws or volume.middle_draws(len(rays.origins), plan.sampling)
        split = self.split(planes)
        seen = volume.see(lambda points: self.field(split, points), rays, plan.sampling, given)
        x = seen.features.reshape(plan.side, plan.side, -1)
        depth = seen.depth.reshape(plan.side, plan.side)
        return {"x": x, "image": x[..., :3], "depth": depth}

    def split(self, planes: Array) -> Array:
        """[h, w, 3 channels] -> [3, h, w, channels]."""
        return planes.reshape(*planes.shape[:2], PLANES, -1).transpose(2, 0, 1, 3)

    def field(self, planes: Array, points: Array) -> tuple[Array, Array]:
        """Colours [..., channels] and density [...] of points [..., 3] by split planes."""
        x = volume.look_up(planes, points, self.plan.sampling.box)
        y = self.fc1(jax.nn.softplus(self.fc0(x)))
        return jax.nn.sigmoid(y[..., 1:]) * 1.002 - 0.001, y[..., 0]

    def resized(self, state: State) -> State:
        """Features and colours at the side that the superresolution takes, bilinear."""
        side, own = self.plan.enlarging.side, state["x"].shape[0]
        if own == side or (own > side and not self.plan.enlarging.always):
            return state
        found = {
            name: jax.image.resize(state[name], (side, side, state[name].shape[-1]), "linear")
            for name in ("x", "image")
        }
        return {**state, **found}

    def finish(self, state: State, code: Any, size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del code
        return area_reduce(state["image"], size)


def sides_of(enlarging: Enlarging) -> tuple[int, int]:
    """Sides of what the two blocks of a superresolution give."""
    first = enlarging.side << enlarging.doubles[0]
    return first, first << enlarging.doubles[1]


def camera_of(camera: Array, orbit: Orbit) -> Array:
    """The camera [25] of two angles on the orbit, or of itself."""
    if camera.shape[-1] == MATRIX:
        return camera
    inner = jnp.asarray([orbit.focal, 0.0, 0.5, 0.0, orbit.focal, 0.5, 0.0, 0.0, 1.0])
    world = volume.pose(camera, orbit.radius, orbit.pivot)
    return jnp.concatenate([world.ravel(), inner])


def plan_of(spec: GeneratorSpec) -> Plan:
    """The plan in the fact "plan" of a `spec`, a list of the fields of a `Plan`."""
    *sizes, sampling, enlarging, orbit = dict(spec.facts)["plan"]
    parts = (volume.Sampling(*sampling), Enlarging(*enlarging), Orbit(*orbit))
    return Plan(*sizes, *parts)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the fact plan and those of the mapping."""
    plan = plan_of(spec)
    network = Rendered(plan)

    def stored_noise(params: Params) -> tuple[Array, ...]:
        tree = params["synthesis"]["backbone"]
        return tuple(tree[name]["noise"] for name in network.steps[:-3])

    code = jnp.ones((spec.rows, spec.w_dim))
    synthesis = base.Synthesis(network, code, stored_noise, beside=jnp.zeros(ANGLES))
    made = base.from_w(spec, mapping_of(spec), synthesis)

    def to_w(params: Params, z: Array, camera: Array | None = None) -> Array:
        given = jnp.zeros(ANGLES) if camera is None else camera
        return made.map(params, z, camera_of(given, plan.orbit))

    return made._replace(map=to_w)
