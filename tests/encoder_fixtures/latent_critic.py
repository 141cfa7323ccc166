"""The latent critic of e4e and the losses of its training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxinv.encoders import row_terms
from jaxinv.training import critics
from jaxinv.types import Array
from tests.encoder_fixtures.rules import check_output, inputs, tensors
from tests.net_fixtures.rules import read_meta
from weights_convert.networks import torch_layers

WEIGHTS = (0.1, 2e-4, 1.0)  # of the critic, the deltas and the pixels


def wdisc(folder: Path) -> None:
    meta, found = read_meta(folder), {k: jnp.asarray(v) for k, v in inputs(folder).items()}
    layers = torch_layers.convert(tensors(folder))["params"]
    count = meta["setting"]["n_mlp"]
    params = {f"fc{index}": layers[f"mlp.{2 * index}"] for index in range(count)}
    score = partial(critics.latent_critic, params)
    real, fake = score(found["real_w"]), score(found["fake_w"])
    check_output(folder, "real_pred", real[:, None])
    check_output(folder, "fake_pred", fake[:, None])
    check_output(folder, "d_loss", [critics.critic_loss(real, fake)])
    check_output(folder, "r1", [critics.gradient_penalty(score, found["real_w"])])
    check_output(folder, "r1_grad_input", jax.vmap(jax.grad(score))(found["real_w"]))
    check_output(folder, "g_loss", [critics.generator_loss(fake)])
    pixels = jnp.mean(jnp.square(found["y_hat"] - found["y"]))
    for name in meta["io"]:
        if name.endswith("_parts"):
            _check_stage(folder, name.removesuffix("_parts"), score, found["latents"], pixels)


def _check_stage(
    folder: Path, stage: str, score: Callable[[Array], Array], codes: Array, pixels: Array
) -> None:
    """Hold the encoder's loss at one stage; past the last row all count, and no delta does."""
    rows = codes.shape[1]
    number = int(stage.removeprefix("stage"))
    active = min(number + 1, rows)

    def parts(codes: Array) -> Array:
        deltas = row_terms.delta_penalty(codes, active if number < rows else 0)
        return jnp.stack([row_terms.adversarial(score, codes, active), deltas, pixels])

    def loss(codes: Array) -> Array:
        return parts(codes) @ jnp.asarray(WEIGHTS)

    check_output(folder, f"{stage}_parts", parts(codes))
    check_output(folder, f"{stage}_loss", [loss(codes)])
    check_output(folder, f"{stage}_grad_latents", jax.grad(loss)(codes))


CHECKS: dict[str, Callable[[Path], None]] = {"e4e-wdisc": wdisc}
