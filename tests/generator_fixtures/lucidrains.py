"""StyleGAN2 and Lightweight GAN of lucidrains, whose images are in [0, 1] there.

Of transparent images we draw the colours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tests.generator_fixtures.drawing import (
    Drawn,
    Wanted,
    channels_first,
    checkpoint,
    compare,
    converted,
)


def check_stylegan2(folder: Path) -> None:
    drawn = converted(folder, checkpoint(folder, ".pt"))
    wanted, spec = drawn.wanted, drawn.gen.spec
    given = {"noise": (unit_noise(wanted["noise"]),)}
    w = drawn.map(wanted["z"])
    mean = wanted["w_mean"]
    found = {"w": w, "w_psi0.6": mean + 0.6 * (w - mean)}
    found["img"] = half(drawn.images(w=w, **given))
    found["img_psi0.6"] = half(drawn.images(w=found["w_psi0.6"], **given))
    other = drawn.map(wanted["z_mix"])
    cut = json.loads((folder / "meta.json").read_text("utf-8"))["mix_cut"]
    first = np.arange(spec.rows)[:, None] < cut
    found["wplus_mix"] = np.where(first, w[:, None], other[:, None])
    for name in ("wplus", "wplus_mix"):
        found[name.replace("wplus", "img") if "mix" in name else "img_wplus"] = half(
            drawn.images(wplus=wanted[name], **given)
        )
    plus = np.tile(w[:, None], (1, spec.rows, 1))
    styles = list(jax.vmap(lambda one: drawn.gen.affine(drawn.params, one))(plus))
    styles = styles[len(styles) % 3 :]
    for index, style in enumerate(styles):
        kind = ("to_style1", "to_style2", "to_rgb")[index % 3]
        found[f"s_block{index // 3}_{kind}"] = np.asarray(style) - 1
    one = {"w": w[0], "noise": (given["noise"][0][0],)}
    compare(opaque(wanted), found | features(drawn, one))


def unit_noise(noise: np.ndarray) -> np.ndarray:
    """Uniform maps [n, h, w, 1] in their transposed form, with mean 0 and variance 1."""
    return (noise[..., 0].transpose(0, 2, 1) - 0.5) * np.sqrt(12)


def half(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as those in [0, 1]."""
    return (images + 1) / 2


def opaque(wanted: Wanted) -> Wanted:
    """The colours of images that have a fourth channel; a single one is three equal ones."""
    return {
        name: np.repeat(array, 3 // min(array.shape[1], 3), 1)[:, :3]
        if name.startswith(("img", "rgb_"))
        else array
        for name, array in wanted.items()
    }


def features(drawn: Drawn, latents: dict[str, Any]) -> dict[str, np.ndarray]:
    """Features and images after the blocks, and after attentions."""
    states, found = drawn.states(latents), {}
    for index in range(drawn.gen.spec.rows):
        state = states[f"b{4 << index}_conv1"]
        found[f"feat_block{index}"] = channels_first(state["x"])
        found[f"rgb_block{index}"] = channels_first(state["image"])
        if (attention := f"b{4 << index}_attention") in states:
            found[f"feat_attn{index}"] = channels_first(states[attention]["x"])
    return {name: array for name, array in found.items() if name in drawn.wanted}


def check_lightweight(folder: Path) -> None:
    drawn = converted(folder, checkpoint(folder, ".pt"))
    z, noise = drawn.wanted["z"], drawn.noise()
    found = {"img": half(drawn.images(z=z, noise=noise))}
    found["img_nonoise"] = half(drawn.images(z=z, noise=drawn.silence(len(z))))
    states = drawn.states({"z": z[0], "noise": tuple(one[0] for one in noise)})
    steps = drawn.gen.steps
    for name in drawn.wanted:
        number = int("".join(c for c in name if c.isdigit()) or 0)
        if name == "feat_initial":  # there before its channels are normalised
            found[name] = channels_first(states["init"]["x"])
            length = np.linalg.norm(drawn.wanted[name], axis=1, keepdims=True)
            drawn.wanted[name] = drawn.wanted[name] / length
        elif name.startswith("s_layer"):
            state = states[steps[number + 1]]
            gates = [value for key, value in state.items() if key.startswith("gate_")]
            found[name] = np.asarray(gates[-1])[None, :, None, None]
    compare(opaque(drawn.wanted), found)


CHECKS = {"lucidrains-stylegan2": check_stylegan2, "lightweight-gan": check_lightweight}
