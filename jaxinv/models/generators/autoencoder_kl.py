"""The decoder of latent diffusion's autoencoder (Rombach et al. 2022, arXiv:2112.10752).

z is the latent of the published pipelines, of about unit variance, channels first and flattened:
the network is given z / scale + shift. Nothing but a diffusion model knows how z is distributed;
the normal prior is its nominal variance only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import Conv
from jaxinv.nn.latent_blocks import GroupNorm, PixelAttention, ResBlock
from jaxinv.nn.linear import Linear
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import nearest_double
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Plan(NamedTuple):
    """Facts of a decoder: z is [channels, side, side]; widths and residual blocks of every stage.

    `attention`: between the two blocks in the middle. `quantised`: a pointwise layer comes first.
    """

    channels: int
    side: int
    widths: tuple[int, ...]
    blocks: int
    groups: int
    scale: float
    shift: float
    attention: bool
    quantised: bool


class Decoder(Module):
    """z -> image."""

    plan: Plan

    @property
    def steps(self) -> tuple[str, ...]:
        """The first convolution, the middle, then one stage per resolution."""
        return ("conv_in", "mid", *(f"up{index}" for index in range(len(self.plan.widths))))

    def setup(self) -> None:
        plan = self.plan
        first, groups = plan.widths[0], plan.groups
        parts: dict[str, Any] = {"conv_in": Conv(first, name="conv_in")}
        if plan.quantised:
            parts["post_quant_conv"] = Linear(plan.channels, name="post_quant_conv")
        for number in (0, 1):
            parts[f"mid_res{number}"] = ResBlock(first, groups, name=f"mid_res{number}")
        if plan.attention:
            parts["mid_attention"] = PixelAttention(groups, name="mid_attention")
        for index, width in enumerate(plan.widths):
            for number in range(plan.blocks):
                name = f"up{index}_res{number}"
                parts[name] = ResBlock(width, groups, name=name)
            if index + 1 < len(plan.widths):
                parts[f"up{index}_up"] = Conv(width, name=f"up{index}_up")
        self.parts = parts
        self.norm_out = GroupNorm(groups)
        self.conv_out = Conv(3)

    def step(self, index: int, state: State, z: Array, noise: None) -> State:
        """The first convolution, the middle or one stage: {"x": [h, w, channels]}."""
        del noise
        plan, parts = self.plan, self.parts
        if index == 0:
            x = z.reshape(plan.channels, plan.side, plan.side).transpose(1, 2, 0)
            x = x / plan.scale + plan.shift
            return {"x": parts["conv_in"](parts["post_quant_conv"](x) if plan.quantised else x)}
        if index == 1:
            x = parts["mid_res0"](state["x"])
            x = parts["mid_attention"](x) if plan.attention else x
            return {"x": parts["mid_res1"](x)}
        x, name = state["x"], f"up{index - 2}"
        for number in range(plan.blocks):
            x = parts[f"{name}_res{number}"](x)
        last = index - 1 == len(plan.widths)
        return {"x": x if last else parts[f"{name}_up"](nearest_double(x))}

    def finish(self, state: State, z: Array, size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del z
        return area_reduce(self.conv_out(jax.nn.silu(self.norm_out(state["x"]))), size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` whose fact "plan" lists the fields of a `Plan`."""
    plan = Plan(*dict(spec.facts)["plan"])
    return base.from_z(spec, base.Synthesis(Decoder(plan), jnp.ones(spec.z_dim)))
