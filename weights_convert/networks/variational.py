"""Variational autoencoders: of dense layers, and diffusers' AutoencoderKL.

Both halves are converted: the decoder as a generator, the encoder as what its codes start from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxinv.specs.checks import check_above, check_whole
from weights_convert.errors import UnsafeFileError
from weights_convert.networks import chains
from weights_convert.networks.encoder_families import Network
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
DENSE, MAPS = "variational-dense", "variational-blocks"  # parts of `jaxinv.encoders`
DENSE_ARRAYS = tuple(f"fc{name}.weight" for name in ("1", "21", "22", "3", "4"))
KL_ARRAYS = ("encoder.conv_in.weight", "decoder.conv_in.weight")
COLOURS = 3  # of what encoders see; grey pictures are seen as their mean
RENAMED = (
    (r"mid_block\.resnets\.(\d+)", r"mid_res\1"),
    (r"mid_block\.attentions\.0", "mid_attention"),
    (r"(up|down)_blocks\.(\d+)\.resnets\.(\d+)", r"\1\2_res\3"),
    (r"up_blocks\.(\d+)\.upsamplers\.0\.conv", r"up\1_up"),
    (r"down_blocks\.(\d+)\.downsamplers\.0\.conv", r"down\1_down.conv"),
    (r"\.to_out\.0", ".to_out"),
    (r"^conv_norm_out", "norm_out"),
    # Older files.
    (r"mid_attention\.query", "mid_attention.to_q"),
    (r"mid_attention\.key", "mid_attention.to_k"),
    (r"mid_attention\.value", "mid_attention.to_v"),
    (r"mid_attention\.proj_attn", "mid_attention.to_out"),
)
POINTWISE = re.compile(r"(quant_conv|conv_shortcut|mid_attention)")


def dense_generator(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) of a decoder of two dense layers.

    Raises `UnsafeFileError` for images that are not square.
    """
    own = {name: array for name, array in arrays.items() if name.startswith(("fc3.", "fc4."))}
    side = _side(arrays)
    last = chains.Step("fc4", None, "sigmoid", side=side)
    return chains.convert(own, chains.Plan((chains.Step("fc3", None, "relu"), last)))


def _side(arrays: Arrays) -> int:
    pixels = arrays["fc4.weight"].shape[0]
    side = round(pixels**0.5)
    if side * side != pixels or arrays["fc1.weight"].shape[1] != pixels:
        raise UnsafeFileError(f"images of {pixels} pixels; allowed: square ones, in and out")
    return side


def dense_encoder(arrays: Arrays) -> Network:
    """The encoder before that decoder: it sees grey pictures in [0, 1] there, [-1, 1] here."""
    side = _side(arrays)
    weight = np.float64(arrays["fc1.weight"])
    bias = arrays["fc1.bias"] + weight.sum(1) / 2
    seen = np.repeat(weight.T / (2 * COLOURS), COLOURS, 0)
    params = {"fc1": {"kernel": seen.astype(np.float32), "bias": bias.astype(np.float32)}}
    for name in ("fc21", "fc22"):
        kernel, shift = arrays[f"{name}.weight"].T, arrays[f"{name}.bias"]
        params[name] = {"kernel": np.ascontiguousarray(kernel, np.float32), "bias": shift}
    fields = {
        "backbone": DENSE,
        "head": DENSE,
        "side": side,
        "output": "z",
        "width": len(arrays["fc21.bias"]),
        "base": "zeros",
    }
    return {**fields, "facts": (("hidden", len(bias)),)}, {"params": params, "batch_stats": {}}


def kl_generator(
    arrays: Arrays, config: Any, side: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of an AutoencoderKL; `config` is its config.json, `side` of its images.

    The network has no size of its own: without a `side` it is the "sample_size" of the file.
    """
    settings = _Settings(config, side)
    own = _half(arrays, "decoder", "post_quant_conv")
    facts = {
        "architecture": "autoencoder-kl",
        "resolution": settings.side,
        "z_dim": settings.z_dim,
        "facts": [["plan", settings.plan(own)]],
    }
    return apply_rules(_rules(own, "synthesis/"), own), facts


def kl_encoder(arrays: Arrays, config: Any = None, side: int | None = None) -> Network:
    """The encoder before that decoder."""
    settings = _Settings(config, side)
    own = _half(arrays, "encoder", "quant_conv")
    fields = {
        "backbone": MAPS,
        "head": MAPS,
        "side": settings.side,
        "output": "z",
        "width": settings.z_dim,
        "base": "zeros",
    }
    facts = {
        "attention": "mid_attention.to_q.weight" in own,
        "blocks": settings.blocks,
        "channels": settings.channels,
        "groups": settings.groups,
        "quantised": "quant_conv.weight" in own,
        "scale": settings.scale,
        "shift": settings.shift,
        "widths": settings.widths,
    }
    params = apply_rules(_rules(own, "params/"), own)
    return {**fields, "facts": tuple(facts.items())}, {**params, "batch_stats": {}}


class _Settings:
    """What config.json says, checked."""

    def __init__(self, config: Any, side: int | None) -> None:
        if not isinstance(config, dict):
            raise UnsafeFileError("an AutoencoderKL says how it is built in config.json beside it")
        try:
            self.widths = tuple(int(width) for width in config["block_out_channels"])
            self.channels, self.blocks = config["latent_channels"], config["layers_per_block"]
            self.groups = config.get("norm_num_groups", 32)
            self.side = config.get("sample_size") if side is None else side
            self.scale = config["scaling_factor"]
            self.shift = float(config.get("shift_factor") or 0)
            for name in ("channels", "blocks", "groups", "side"):
                check_whole(f"{name} of config.json", getattr(self, name), 1)
            check_above("scaling_factor of config.json", self.scale, 0.0)
        except (KeyError, TypeError, ValueError) as error:
            raise UnsafeFileError(f"config.json is no AutoencoderKL's: {error!r:.120}") from error
        if config.get("latents_mean") or config.get("latents_std"):
            raise UnsafeFileError("latents with a mean and a deviation per channel; allowed: none")
        self.cells = self.side >> (len(self.widths) - 1)
        if self.cells << (len(self.widths) - 1) != self.side:
            raise UnsafeFileError(
                f"images of {self.side} px; allowed: multiples of {1 << (len(self.widths) - 1)}"
            )

    @property
    def z_dim(self) -> int:
        """Numbers of the latent."""
        return self.channels * self.cells**2

    def plan(self, own: Arrays) -> list[Any]:
        """The fields of a decoder's `Plan`."""
        attention = "mid_attention.to_q.weight" in own
        parts: list[Any] = [self.channels, self.cells, list(self.widths[::-1]), self.blocks + 1]
        numbers = [self.groups, float(self.scale), self.shift]
        return [*parts, *numbers, attention, "post_quant_conv.weight" in own]


def _half(arrays: Arrays, half: str, beside: str) -> dict[str, np.ndarray]:
    """The arrays of one half by the names of our layers."""
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name.startswith(f"{half}."):
            own = name.removeprefix(f"{half}.")
            for pattern, ours in RENAMED:
                own = re.sub(pattern, ours, own)
            found[own] = array
        elif name.startswith(f"{beside}."):
            found[name] = array
    return found


def _rules(arrays: Arrays, prefix: str) -> Iterator[Rule]:
    for name, array in arrays.items():
        layer, _, end = name.rpartition(".")
        target = f"{prefix}{layer.replace('.', '/')}"
        pointwise = array.shape[2:] == (1, 1) and POINTWISE.search(name)
        if end == "weight" and pointwise:
            shape = array.shape[1::-1]
            yield Rule(f"{target}/kernel", (name,), lambda x: x[:, :, 0, 0].T, shape)
        elif end == "weight" and array.ndim > 1:
            order = (2, 3, 1, 0) if array.ndim == 4 else (1, 0)
            shape = tuple(array.shape[axis] for axis in order)
            yield Rule(f"{target}/kernel", (name,), _turned(order), shape)
        else:
            kind = "scale" if end == "weight" else end
            yield Rule(f"{target}/{kind}", (name,), np.asarray, array.shape)


def _turned(order: tuple[int, ...]) -> Any:
    return lambda x: x.transpose(order)
