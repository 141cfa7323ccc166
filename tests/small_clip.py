"""A small CLIP of random weights, and words that a small tokenizer knows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from jaxinv.models import joint_embedding
from jaxinv.types import Params

WIDTH, LENGTH, PATCH, SIDE, WORDS = 64, 6, 8, 16, 50


class Tokens:
    """A tokenizer in the place of CLIP's, whose vocabulary is a file."""

    def __init__(self, vocabulary: str | Path | None = None) -> None:
        del vocabulary

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        found = np.zeros((len(texts), 12), np.int32)
        for row, text in zip(found, texts, strict=True):
            ids = [zlib.crc32(word.encode()) % (WORDS - 1) for word in text.split()][:11]
            row[: len(ids) + 1] = [*ids, WORDS - 1]
        return found


def small_clip() -> Params:
    """Its parameters: a transformer of one block for pictures of 16 px, one for texts."""
    draws = np.random.default_rng(7)

    def drawn(*shape: int) -> np.ndarray:
        return draws.standard_normal(shape, np.float32) / np.float32(shape[0] ** 0.5)

    def norm() -> Params:
        return {"scale": np.ones(WIDTH, np.float32), "bias": drawn(WIDTH)}

    def dense(inside: int, outside: int) -> Params:
        return {"kernel": drawn(inside, outside), "bias": drawn(outside)}

    tree: Params = {
        "logit_scale": np.float32(np.log(100)),
        "positional_embedding": drawn(12, WIDTH),
        "text_projection": drawn(WIDTH, LENGTH),
        "token_embedding": 5 * drawn(WORDS, WIDTH),
        "visual.class_embedding": drawn(WIDTH),
        "visual.positional_embedding": drawn((SIDE // PATCH) ** 2 + 1, WIDTH),
        "visual.proj": drawn(WIDTH, LENGTH),
        "visual.conv1": {"kernel": drawn(PATCH, PATCH, 3, WIDTH), "bias": drawn(WIDTH)},
    }
    for name in ("visual.ln_pre", "visual.ln_post", "ln_final"):
        tree[name] = norm()
    for tower in ("visual.transformer", "transformer"):
        block = f"{tower}.resblocks.0"
        tree |= {f"{block}.ln_1": norm(), f"{block}.ln_2": norm()}
        tree[f"{block}.attn.in_proj"] = dense(WIDTH, 3 * WIDTH)
        tree[f"{block}.attn.out_proj"] = dense(WIDTH, WIDTH)
        tree[f"{block}.mlp.c_fc"] = dense(WIDTH, 4 * WIDTH)
        tree[f"{block}.mlp.c_proj"] = dense(4 * WIDTH, WIDTH)
    return tree


def speak(patch: pytest.MonkeyPatch) -> None:
    """Use the small tokenizer."""
    patch.setattr(joint_embedding, "ClipTokenizer", Tokens)
