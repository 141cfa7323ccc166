"""What everyday directions do to inverted photographs: `python -m tests.benchmarks edits RUN`.

RUN is a run of `faithful`: its codes alone are what `default` finds, with their changes of weights
what `faithful` does. Every code is moved by `AMOUNTS` along age, smile and yaw.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxinv.edits.catalogue import catalogue_direction
from jaxinv.edits.editing import edit
from jaxinv.io import images
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.latent_files import load_latents
from jaxinv.metrics.attributes import attributes
from jaxinv.metrics.identity import identity
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import draw_one
from jaxinv.reports.markdown import markdown

AMOUNTS = tuple(np.linspace(-1.5, 1.5, 7))
# "happy" is 1 of most smiles: their width tells more.
MOVED = {"age": "age", "smile": "smile", "yaw": "yaw"}  # direction: score
SCORES = ("age", "smile", "yaw", "male")
SLACK = {"age": 0.5, "smile": 0.01, "yaw": 0.5}  # a step back by less is none
SIDE, SAME_PERSON = 256, 0.6


def report(run: Path, limit: int, out: Path | None) -> None:
    """Print, for both kinds of codes: faces that move steadily, identity, and drift."""
    gen, params = load_generator("ffhq")
    names = (*MOVED, "gender")
    ways = {name: catalogue_direction(gen, params, "ffhq", name) for name in names}
    rows: list[tuple[str, ...]] = []
    for kind in ("default", "faithful"):
        steady = dict.fromkeys(MOVED, 0)
        apart: list[float] = []
        drifts: list[np.ndarray] = []
        files = sorted((run / "latents").glob("*.safetensors"))[:limit]
        for file in files:
            code, _ = load_latents(file)
            code = {k: v for k, v in code.items() if kind == "faithful" or k == "w+"}
            for name, score in MOVED.items():
                strip = drawn(gen, params, code, ways[name], AMOUNTS)
                found = attributes(strip, SCORES)[score]
                steps = np.diff(found)
                steady[name] += bool(np.all(steps > -SLACK[score]) and found[-1] > found[0])
                middle = identity(strip, np.repeat(strip[3:4], len(strip), axis=0))[1:-1]
                apart.append(float(np.nanmax(middle)))
                print(kind, file.stem, name, np.round(found, 2), np.round(middle, 2), flush=True)
                if out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    wide = np.concatenate(list(strip), axis=1)
                    (out / f"{file.stem}-{kind}-{name}.png").write_bytes(images.encode_png(wide))
            drifts.append(drift(gen, params, code, ways))
            print(kind, file.stem, "gender", np.round(drifts[-1], 2), flush=True)
        years, shares = np.mean(drifts, axis=0)
        rows.append(
            (
                kind,
                *(f"{steady[name]} of {len(files)}" for name in MOVED),
                f"{np.median(apart):.2f} / {np.max(apart):.2f}",
                f"{np.mean(np.array(apart) < SAME_PERSON):.0%}",
                " / ".join(f"{one:.1f}" for one in years),
                " / ".join(f"{one:.2f}" for one in shares),
            )
        )
    head = ("codes of", "age", "smile", "yaw", "identity median / worst", "below 0.6")
    print(markdown((*head, "years by gender: alone / --condition / --hold age", "gender"), rows))


def drift(gen: Any, params: Any, code: Any, ways: dict[str, Any]) -> np.ndarray:
    """How far age and gender scores are apart at gender -1 and 1: [2, alone / condition / hold]."""
    gender, age, ends = ways["gender"], ways["age"], (-1.0, 1.0)
    strips = (
        drawn(gen, params, code, gender, ends),
        drawn(gen, params, code, gender, ends, held=[age]),
        drawn(gen, params, code, gender, ends, hold=[age]),
    )
    found = [attributes(one, SCORES) for one in strips]
    return np.array([[np.ptp(one[name]) for one in found] for name in ("age", "male")])


def drawn(
    gen: Any, params: Any, code: Any, way: Any, amounts: Any, *, held: Any = (), hold: Any = ()
) -> np.ndarray:
    """Pictures uint8 [amounts, SIDE, SIDE, 3] of one code moved by every amount."""
    stack = jax.tree.map(lambda a: np.asarray(a)[None], code)
    moved = [
        edit(gen, params, stack, [(way, float(a))], conditions=held, hold=hold) for a in amounts
    ]
    one = [jax.tree.map(lambda a: a[0], latents) for latents in moved]
    return to_uint8(np.stack([np.asarray(draw_one(gen, params, x, SIDE)) for x in one]))
