"""StyleGAN-XL: the stem, and generators of higher resolutions that grew out of one."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.latents.sampling import truncate
from tests.generator_fixtures.drawing import Drawn, channels_first, compare, converted


def check(folder: Path) -> None:
    drawn = converted(folder, "best_model.pkl")
    wanted, rows = drawn.wanted, drawn.gen.spec.rows
    labelled = [wanted["c"]] if drawn.gen.spec.labels else []
    w = drawn.map(wanted["z"], *labelled)
    plus = np.tile(w[:, None], (1, rows, 1))
    styles = jax.vmap(lambda one: drawn.gen.affine(drawn.params, one))(wanted["ws"])
    names = [name for name in wanted if name.startswith("s_")]
    found = {"ws": plus, **dict(zip(names, map(np.asarray, styles), strict=True))}
    found |= {"img": drawn.images(w=w), "img_wplus": drawn.images(wplus=wanted["wplus"])}
    for name, psi, cutoff in (("ws_psi0.7", 0.7, None), ("ws_psi0.5_cut3", 0.5, 3)):
        labels = wanted["c"] if labelled else [None] * len(plus)
        pairs = zip(plus, labels, strict=True)
        short = [truncate(drawn.params, p, psi, cutoff, label=c) for p, c in pairs]
        found[name] = np.stack([np.asarray(one) for one in short])
    found["img_psi0.7"] = drawn.images(wplus=found["ws_psi0.7"])
    if "c_other" in wanted:
        found["img_c_other"] = drawn.images(z=wanted["z"], label=wanted["c_other"])
    found["img_transformed"] = transformed(drawn).images(w=w)
    compare(wanted, found | features(drawn))


def transformed(drawn: Drawn) -> Drawn:
    """The generator whose input is moved as the fixture says."""
    synthesis = drawn.params["synthesis"]
    moved = {**synthesis["input"], "transform": jnp.asarray(drawn.wanted["transform_buffer"])}
    return drawn._replace(params={**drawn.params, "synthesis": {**synthesis, "input": moved}})


def features(drawn: Drawn) -> dict[str, np.ndarray]:
    """What the layers give, whose numbers in the names may leave one out."""
    order = [name[2:] for name in drawn.wanted if name.startswith("s_L")]
    states = drawn.states({"w": drawn.wanted["ws"][0, 0]})
    return {
        f"feat_{name}": channels_first(states[f"layer{i}"]["x"])
        for i, name in enumerate(order)
        if f"feat_{name}" in drawn.wanted
    }


CHECKS = {"stylegan-xl": check}
