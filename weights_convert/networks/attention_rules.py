"""Rules of the attention of lucidrains' generators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weights_convert.networks.layouts import Layout, permuted, plain
from weights_convert.networks.rules import Rule

POINT = Layout((1, 0), ones=(0, 2))


def linear_attention(
    base: str, source: str, sizes: tuple[int, int], *, local: bool
) -> Iterator[Rule]:
    """A `LinearAttention` of (channels, inner channels); the `local` form names its parts anew."""
    channels, inner = sizes
    linear = "to_lin_" if local else "to_"
    names = [("query", f"{linear}q", inner), ("pair", f"{linear}kv.net.1", 2 * inner)]
    names += [("local_query", "to_q", inner), ("local_pair", "to_kv", 2 * inner)] if local else []
    for ours, theirs, width in names:
        shape = (channels, width)
        yield permuted(f"{base}/{ours}/kernel", f"{source}.{theirs}.weight", shape, POINT)

    def taps(x: np.ndarray) -> np.ndarray:
        return x[:, 0].transpose(1, 2, 0)

    yield Rule(f"{base}/depthwise", (f"{source}.{linear}kv.net.0.weight",), taps, (3, 3, channels))
    shape = (inner * (1 + local), channels)
    yield permuted(f"{base}/out/kernel", f"{source}.to_out.weight", shape, POINT)
    yield plain(f"{base}/out/bias", f"{source}.to_out.bias", (channels,))


def norm_rules(base: str, source: str, channels: int) -> Iterator[Rule]:
    """A `ChannelNorm`."""
    for ours, theirs in (("scale", "g"), ("bias", "b")):
        yield plain(f"{base}/{ours}", f"{source}.{theirs}", (channels,), (1, 2))
