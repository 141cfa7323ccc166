"""Seconds of one process until the first step of an inversion at 256 px: `python -m ...first`."""

from __future__ import annotations

import json
import time
from itertools import pairwise


def spent() -> dict[str, float]:
    marks = [time.perf_counter()]
    import numpy as np

    from jaxinv.inversion.invert import invert
    from jaxinv.models.loading import load_features, load_generator
    from jaxinv.models.zoo import is_present
    from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
    from tests.tiny import mobile

    marks.append(time.perf_counter())
    real = is_present("ffhq") and is_present("lpips")
    gen, params = load_generator("ffhq") if real else mobile()
    nets = load_features(("vgg16",)) if real else {}
    marks.append(time.perf_counter())
    terms = (Term("mse"), Term("lpips", net="vgg16")) if real else (Term("mse"),)
    stage = Stage((Variable("w+"),), terms, 1, SolverSpec("adam", 0.02))
    side = min(256, gen.spec.resolution)
    image = np.zeros((1, side, side, 3), np.float32)
    preset = Preset(name="first", summary="one step", reference="own", stages=(stage,))
    invert(gen, params, image, preset=preset, nets=nets)
    marks.append(time.perf_counter())
    names = ("imports", "weights", "first step")
    return dict(zip(names, (b - a for a, b in pairwise(marks)), strict=True))


if __name__ == "__main__":
    print(json.dumps(spent()))
