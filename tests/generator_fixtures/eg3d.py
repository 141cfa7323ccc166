"""EG3D: planes, what cameras see of them, and the superresolution."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.latents.sampling import truncate
from jaxinv.models.generators import eg3d
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
    """What cameras see of the planes, by the middle of steps and by given places, and points."""
    wanted, found = drawn.wanted, dict[str, np.ndarray]()
    network = eg3d.Rendered(eg3d.plan_of(drawn.gen.spec))
    variables = {"params": drawn.params["synthesis"]}
    places = (wanted["u_coarse"][..., 0], wanted["u_fine"])
    for end, camera, draws in (
        ("", wanted["c"], None),
        ("_other_view", wanted["c_other"], None),
        ("_u", wanted["c"], places),
    ):
        # Operation by operation, as there: fused ones round otherwise, and a rounding of a depth of
        # 3 is a visible part of a pixel of the planes.
        with jax.disable_jit():
            states = [
                network.apply(
                    variables,
                    jnp.asarray(own),
                    jnp.asarray(camera[i]),
                    None if draws is None else tuple(jnp.asarray(one[i]) for one in draws),
                    method="rendered",
                )
                for i, own in enumerate(planes)
            ]
        state = {name: np.stack([one[name] for one in states]) for name in states[0]}
        found[f"img_raw{end}"] = state["image"].transpose(0, 3, 1, 2)
        found[f"img_depth{end}"] = state["depth"][:, None]
        if not end:
            x = state["x"]
            found["features_ch8"] = x.reshape(len(x), -1, x.shape[-1])[..., :8]

    def field(own: jax.Array, points: jax.Array) -> tuple[jax.Array, jax.Array]:
        split = network.apply(variables, own, method="split")
        return network.apply(variables, split, points, method="field")

    colours, densities = jax.jit(jax.vmap(field))(planes, wanted["points"])
    found["points_sigma"] = np.asarray(densities)[..., None]
    found["points_rgb_ch8"] = np.asarray(colours)[..., :8]
    return found


CHECKS = {"eg3d": check}
