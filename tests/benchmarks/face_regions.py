"""Parts of faces that take over style channels of others (Collins et al. 2020), measured."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery import local_styles
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.generators.base import StepRange, convert
from jaxinv.models.loading import load_generator
from jaxinv.types import Array, Params

STEPS = ("block1", "block2", "block3")  # of 16, 32 and 64 px; their features are scaled by a style
CLUSTERS, GRID, SIZE = 24, 32, 128  # fewer clusters mix eyes and mouth
# Where faces of ffhq have their parts, as shares of the side: row, column, height, width.
PARTS = {"mouth": (0.72, 0.5, 0.12, 0.27), "eyes": (0.47, 0.5, 0.08, 0.45)}


def style_of(gen: Any, step: str) -> int:
    """Which style scales the features after a step: that of the next block's enlargement."""
    return 3 * gen.steps.index(step) + 1


def box(part: str) -> np.ndarray:
    """The pixels [GRID, GRID] where faces have a part."""
    row, column, height, width = PARTS[part]
    at = (np.arange(GRID) + 0.5) / GRID
    return (np.abs(at - row) < height / 2)[:, None] & (np.abs(at - column) < width / 2)[None]


class Faces(NamedTuple):
    """Styles of some faces, and their features [n, h, w, c] after every step of `STEPS`."""

    styles: tuple[np.ndarray, ...]
    features: dict[str, np.ndarray]


@lru_cache
def sampled(count: int = 32) -> Faces:
    gen, params = load_generator("ffhq")
    drawn = sample_latents(gen, params, count, seed=3, psi=0.7)
    look = jax.jit(lambda params, w: (convert(gen, params, w, "s"), _states(gen, params, w)))
    rows = [
        look(params, jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), drawn))
        for i in range(count)
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *[Faces(*row) for row in rows])


def _states(gen: Any, params: Params, w: Any) -> dict[str, Array]:
    found, state, code = {}, {}, convert(gen, params, w, "s")
    for name in gen.steps[: gen.steps.index(STEPS[-1]) + 1]:
        first = gen.steps.index(name)
        state = gen.run(params, code, None, state, StepRange(first, first + 1))
        if name in STEPS:
            found[name] = state["x"]
    return found


def gridded(x: np.ndarray) -> np.ndarray:
    """Feature maps [n, h, w, c] at GRID px: means of pixels, or repeated ones."""
    side = x.shape[1]
    if side > GRID:
        k = side // GRID
        return x.reshape(len(x), GRID, k, GRID, k, -1).mean((2, 4))
    return x.repeat(GRID // side, 1).repeat(GRID // side, 2)


def transferred(part: str, budget: float, pairs: int = 8) -> dict[str, float]:
    """Mean change in the part over that elsewhere, of pictures that took over styles of others.

    "query": the channels of the part alone; "all": all channels of the same layers.
    """
    gen, params = load_generator("ffhq")
    faces = sampled()
    maps = {name: gridded(x) for name, x in faces.features.items()}
    found = local_styles.regions(maps[STEPS[0]], CLUSTERS)
    place = box(part)
    hits = np.array([(found.labels == k)[:, place].sum() for k in range(CLUSTERS)])
    sizes = np.array([(found.labels == k).sum() for k in range(CLUSTERS)])
    union = sizes + len(found.labels) * place.sum() - hits
    region = int((hits / union).argmax())
    queries = {}
    for name, x in maps.items():
        shares = local_styles.contributions(x, found)
        queries[style_of(gen, name)] = local_styles.channel_query(shares, region, budget=budget)
    paint = jax.jit(lambda params, s: gen.synthesize(params, {"s": s}, SIZE))
    ratios: dict[str, list[float]] = {"query": [], "all": []}
    k = SIZE // GRID
    for i in range(pairs):
        own, other = (tuple(s[j] for s in faces.styles) for j in (i, i + pairs))
        before = np.asarray(paint(params, own))
        inside = (found.labels[i] == region).repeat(k, 0).repeat(k, 1)
        for kind, values in ratios.items():
            mixed = list(own)
            for index, query in queries.items():
                taken = query if kind == "query" else np.ones_like(query)
                mixed[index] = local_styles.transfer(own[index], other[index], taken)
            moved = [jnp.asarray(s, jnp.float32) for s in mixed]
            change = np.abs(np.asarray(paint(params, tuple(moved))) - before).mean(-1)
            values.append(float(change[inside].mean() / change[~inside].mean()))
    taken = sum(int(query.sum()) for query in queries.values())
    return {kind: float(np.mean(v)) for kind, v in ratios.items()} | {
        "channels": taken,
        "least": min(ratios["query"]),
        "pixels": float((found.labels == region).mean()),
    }
