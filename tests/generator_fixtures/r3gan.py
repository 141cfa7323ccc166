"""R3GAN, with and without classes: mixtures of classes are drawn too."""

from __future__ import annotations

from pathlib import Path

from tests.generator_fixtures.drawing import channels_first, compare, converted


def check(folder: Path) -> None:
    drawn = converted(folder, "network-snapshot.pkl")
    wanted, spec = drawn.wanted, drawn.gen.spec
    latents = {"z": wanted["z"]} | ({"label": wanted["c"]} if spec.labels else {})
    found = {"img": drawn.images(**latents)}
    if "img_soft" in wanted:
        found["img_soft"] = drawn.images(z=wanted["z"], label=wanted["c_soft"])
    states = drawn.states({name: value[0] for name, value in latents.items()})
    for name in wanted:
        if name.startswith("feat_stage"):
            stage = name.removeprefix("feat_")
            step = [one for one in drawn.gen.steps if one.startswith(stage)][-1]
            found[name] = channels_first(states[step]["x"])
    compare(wanted, found)


CHECKS = {"r3gan": check}
