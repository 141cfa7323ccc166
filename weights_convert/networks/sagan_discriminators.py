"""The discriminators in TensorFlow's checkpoints of SAGAN and YLG, by the names of ajbrock's.

They are the same network; `NAMES` says what each variable is called there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from weights_convert.networks import residual_discriminators
from weights_convert.networks import ylg as local
from weights_convert.networks.sagan import Arrays, looking, place, variables
from weights_convert.networks.spectral import from_last_axis

DiscriminatorParams = tuple[dict[str, Any], list[Any]]
LOOK = 1  # the block before the attention, usually: it stands at 32 px
NAMES = {
    "sn_conv1/w": "conv1.weight",
    "sn_conv1/biases": "conv1.bias",
    "sn_conv2/w": "conv2.weight",
    "sn_conv2/biases": "conv2.bias",
    "sn_conv3/w": "conv_sc.weight",
    "sn_conv3/biases": "conv_sc.bias",
    "sn_conv_theta/w": "theta.weight",
    "sn_conv_phi/w": "phi.weight",
    "sn_conv_g/w": "g.weight",
    "sn_conv_attn/w": "o.weight",
    "sigma_ratio": "gamma",
    "d_sn_linear/Matrix": "linear.weight",
    "d_sn_linear/bias": "linear.bias",
    "d_embedding/embedding_map": "embed.weight",
}


def sagan(tree: Any, facts: Mapping[str, Any]) -> DiscriminatorParams | None:
    """(nested parameters, plan) for the generator of `facts`; None: no discriminator of SAGAN's.

    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    found = variables(tree, "d_sn_linear/Matrix", "d_")
    if found is None:
        return None
    weights = from_last_axis(looking(found[1]))
    return residual_discriminators.convert(renamed(weights), facts)


def ylg(tree: Any, facts: Mapping[str, Any]) -> DiscriminatorParams | None:
    """The same of YLG's code; its attention is sparse if the generator's is."""
    sparse = bool(dict(facts["facts"]).get("local"))
    weights = local.weights(tree, "d_sn_linear", "d_", sparse=sparse)
    if weights is None:
        return None
    return residual_discriminators.convert(renamed(weights), facts, local=sparse)


def renamed(weights: Arrays) -> Arrays:
    """Variables under ajbrock's names, in torch's layout; one without a name there keeps its own.

    A block is called d_optimized_block1, d_block2 and so on.
    """
    count = sum(f"d_block{number}/sn_conv2/w" in weights for number in range(2, 65))
    names = ["d_optimized_block1", *(f"d_block{number}" for number in range(2, count + 2))]
    widths = [weights[f"{name}/sn_conv2/w"].shape[3] for name in names]
    owners = {name: f"blocks.{index}.0." for index, name in enumerate(names)}
    owners["look"] = f"blocks.{place(widths, weights, LOOK)}.1."
    found: Arrays = {}
    for name, array in weights.items():
        owner, _, rest = name.partition("/")
        known = owners[owner] + NAMES.get(rest, rest) if owner in owners else NAMES.get(name, name)
        found[known] = _torch(array) if re.search(r"/(w|Matrix)$", name) else array
    return found


def _torch(array: np.ndarray) -> np.ndarray:
    """HWIO as OIHW, [in, out] as [out, in]."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
