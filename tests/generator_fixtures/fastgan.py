"""FastGAN by its own code, of averaged and of raw weights, and that of Projected GAN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.generator_fixtures.drawing import Drawn, channels_first, compare, converted
from weights_convert import sources
from weights_convert.sources import containers


def check_fastgan(folder: Path) -> None:
    drawn = converted(folder, "100.pth")
    found = drawings(drawn, {"z": drawn.wanted["z"]})
    if (folder / "all_100.pth").is_file():
        other = raw(drawn, folder / "all_100.pth")
        found["img_g_100"] = drawings(other, {"z": drawn.wanted["z"]})["img"]
        averaged = converted(folder, "all_100.pth", "--overwrite")
        same = jax.tree.map(np.array_equal, averaged.params["synthesis"], drawn.params["synthesis"])
        assert all(jax.tree.leaves(same))
    compare(drawn.wanted, found)


def raw(drawn: Drawn, file: Path) -> Drawn:
    """The generator of the weights that are not averaged."""
    tree = containers.read_checkpoint(file).tree
    held = sources.convert({"g": tree["g"]})
    return drawn._replace(params=jax.tree.map(jnp.asarray, held.params))


def check_projected(folder: Path) -> None:
    drawn = converted(folder, "best_model.pkl")
    wanted, spec = drawn.wanted, drawn.gen.spec
    latents = {"z": wanted["z"]} | ({"label": wanted["c"]} if spec.labels else {})
    found = drawings(drawn, latents)
    if "c_other" in wanted or "img_c_other_sub4" in wanted:
        other = {**latents, "label": wanted["c_other"]}
        found["img_c_other"] = drawn.images(**other, noise=drawn.noise())
    compare(wanted, found)


def drawings(drawn: Drawn, latents: dict[str, Any]) -> dict[str, np.ndarray]:
    """Images with the given noise and without, features and gates."""
    spec, wanted, count = drawn.gen.spec, drawn.wanted, len(latents["z"])
    noise = {"noise": drawn.noise()} if spec.noise else {}
    found = {"img": drawn.images(**latents, **noise)}
    if any(name.startswith("img_nonoise") for name in wanted):
        found["img_nonoise"] = drawn.images(**latents, noise=drawn.silence(count))
    one = jax.tree.map(lambda leaf: leaf[0], {**latents, **noise})
    states = drawn.states(one)
    for name in wanted:
        side = name.rpartition("_")[2]
        if name.startswith("feat_"):
            found[name] = channels_first(states["init" if side == "init" else f"b{side}"]["x"])
        elif name.startswith("s_se_"):
            before = states[f"b{int(side) // 2}"]
            found[name] = np.asarray(before[f"gate_b{side}"])[None, :, None, None]
    return found


CHECKS = {"fastgan": check_fastgan, "projected-gan-fastgan": check_projected}
