"""StyleSwin."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from tests.generator_fixtures.drawing import channels_first, compare, converted


def check(folder: Path) -> None:
    drawn = converted(folder, "checkpoint.pt")
    wanted, mean = drawn.wanted, drawn.wanted["w_mean"]
    w = drawn.map(wanted["z"])
    plus = np.tile(w[:, None], (1, drawn.gen.spec.rows, 1))
    short = mean + 0.7 * (w - mean)
    found = {"w": w, "latents": plus, "w_psi0.7": short}
    found |= {"img": drawn.images(w=w), "img_psi0.7": drawn.images(w=short)}
    found["img_wplus"] = drawn.images(wplus=wanted["wplus"])
    styles = jax.vmap(lambda one: drawn.gen.affine(drawn.params, one))(plus)
    names = [name for name in wanted if name.startswith("s_")]
    found |= dict(zip(names, map(np.asarray, styles), strict=True))
    states = drawn.states({"w": w[0]})
    for name in wanted:
        if name.startswith("feat_layer"):
            layer, _, block = name.removeprefix("feat_layer").partition("_")
            x = np.asarray(states[f"b{4 << int(layer)}_{block or 'image'}"]["x"])
            found[name] = x.reshape(1, -1, x.shape[-1])
        elif name.startswith("rgb_"):
            state = states[f"b{4 << int(name.removeprefix('rgb_'))}_image"]
            found[name] = channels_first(state["image"])
    compare(wanted, found)


CHECKS = {"styleswin": check}
