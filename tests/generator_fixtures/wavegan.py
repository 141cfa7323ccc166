"""WaveGAN: sounds, which are drawn line by line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.generator_fixtures.drawing import checkpoint, compare, converted


def check(folder: Path) -> None:
    facts = json.loads((folder / "meta.json").read_text("utf-8"))
    length = facts["slice_len"]
    words = () if length == 16384 else ("--length", str(length))
    drawn = converted(folder, checkpoint(folder, ".tar"), *words)
    wanted = drawn.wanted
    pictures = drawn.images(z=wanted["z"])
    samples = dict(drawn.gen.spec.facts)["samples"]
    lines = pictures.reshape(*pictures.shape[:2], -1)[:, : facts["num_channels"], :samples]
    found = {"audio": lines}
    states = drawn.states({"z": wanted["z"][0]})
    for name in wanted:
        if name.startswith("feat_deconv"):
            x = np.asarray(states[f"layer{name.removeprefix('feat_deconv')}"]["x"])
            found[name] = x[:, 0].T[None]
            wanted[name] = np.maximum(wanted[name], 0)
    every = {"audio_every4": wanted.pop("audio_sub4")} if "audio_sub4" in wanted else {}
    found |= dict.fromkeys(every, lines[..., ::4])
    compare(wanted | every, found)


CHECKS = {"wavegan-pytorch": check}
