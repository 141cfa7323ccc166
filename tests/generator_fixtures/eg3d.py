"""EG3D: planes, what cameras see of them, and the superresolution."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.latents.sampling import truncate
from jaxinv.models.generators import eg3d
from jaxinv.nn import volume
from tests.generator_fixtures.drawing import Drawn, channels_first, checkpoint, compare, converted


def check(folder: Path) -> None:
    drawn = converted(folder, checkpoint(folder, ".pkl"))
    wanted, rows = drawn.wanted, drawn.gen.spec.rows
    w = drawn.map(wanted["z"], wanted["c"])
    plus = np.tile(w[:, None], (1, rows, 1))
    other = drawn.map(wanted["z"], wanted["c_other"])
    found = {"ws": plus, "ws_other_c": np.tile(other[:, None], (1, rows, 1))}
    found["ws_psi0.7_cut5"] = np.stack(
        [np.asarray(truncate(drawn.params, one, 0.7, 5)) for one in plus]
    )
    found["img"] = drawn.images(w=w, camera=wanted["c"])
    found["img_psi0.7_cut5"] = drawn.images(wplus=found["ws_psi0.7_cut5"], camera=wanted["c"])
    states = jax.jit(jax.vmap(partial(drawn.gen.features, drawn.params)))(
        {"w": jnp.asarray(w), "camera": jnp.asarray(wanted["c"])}
    )
    planes = states[drawn.gen.steps[-4]]["image"]
    found["planes"] = channels_first(planes[0])[:, ::6]
    found["rgb_sr_block0"] = channels_first(states["sr0"]["image"][0])
    found |= rendered(drawn, np.asarray(planes))
    compare(wanted, found)


def rendered(drawn: Drawn, planes: np.ndarray) -> dict[str, np.ndarray]:
    """What cameras see of the planes, by the middle of steps and by given places, and points.

    Along the original's own rays, which are compared by themselves, and operation by operation:
    a depth is about 3, and its rounding is a visible part of a pixel of the planes.
    """
    wanted, found = drawn.wanted, dict[str, np.ndarray]()
    network = eg3d.Rendered(eg3d.plan_of(drawn.gen.spec))
    variables = {"params": drawn.params["synthesis"]}
    plan, places = network.plan, (wanted["u_coarse"][..., 0], wanted["u_fine"])
    rays = [volume.rays_of(jnp.asarray(camera), plan.side) for camera in wanted["c"]]
    found["ray_origins"] = np.stack([np.asarray(one.origins) for one in rays])
    found["ray_directions"] = np.stack([np.asarray(one.directions) for one in rays])

    def along(camera: np.ndarray) -> volume.Rays:
        same = [i for i, own in enumerate(wanted["c"]) if np.array_equal(own, camera)]
        if not same:
            return volume.rays_of(jnp.asarray(camera), plan.side)
        names = ("ray_origins", "ray_directions")
        return volume.Rays(*(jnp.asarray(wanted[name][same[0]]) for name in names))

    def field(own: jax.Array, points: jax.Array) -> tuple[jax.Array, jax.Array]:
        split = network.apply(variables, own, method="split")
        return network.apply(variables, split, points, method="field")

    for end, cameras, given in (
        ("", wanted["c"], None),
        ("_other_view", wanted["c_other"], None),
        ("_u", wanted["c"], places),
    ):
        states = []
        for index, camera in enumerate(cameras):
            middle = volume.middle_draws(plan.side**2, plan.sampling)
            draws = tuple(jnp.asarray(one[index]) for one in given) if given else middle
            look = partial(field, jnp.asarray(planes[index]))
            with jax.disable_jit():
                states.append(volume.see(look, along(camera), plan.sampling, draws))
        features = np.stack([np.asarray(one.features) for one in states])
        cells = (len(states), plan.side, plan.side, -1)
        found[f"img_raw{end}"] = features[..., :3].reshape(cells).transpose(0, 3, 1, 2)
        depths = np.stack([np.asarray(one.depth) for one in states])
        found[f"img_depth{end}"] = depths.reshape(cells[:3])[:, None]
        if not end:
            found["features_ch8"] = features[..., :8]
            found["weights_sum"] = np.stack([np.asarray(one.weight) for one in states])[..., None]
    colours, densities = jax.jit(jax.vmap(field))(planes, wanted["points"])
    found["points_sigma"] = np.asarray(densities)[..., None]
    found["points_rgb_ch8"] = np.asarray(colours)[..., :8]
    return found


CHECKS = {"eg3d": check}
