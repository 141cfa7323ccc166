"""A generator of one person: tuned to several photographs, with the codes that they were found at.

Source: Nitzan et al. 2022, MyStyle, arXiv:2203.17272. There the generator is tuned to about a
hundred photographs at fixed codes, the *anchors*, and codes are kept within their convex hull, a
little enlarged; the codec "hull" is that space.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.models.generators.base import convert
from jaxinv.models.generators.weight_deltas import patched
from jaxinv.models.loading import DERIVED, build
from jaxinv.models.statistics import ANCHORS
from jaxinv.specs.checks import check_kind

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


def personal_generator(
    gen: Generator, params: Params, latents: Latents, name: str
) -> tuple[Generator, Params]:
    """The generator with the weights that K pictures share, and their codes as its anchors.

    Args:
        gen: the generator that was tuned.
        params: its parameters, as they were.
        latents: what a search found for K pictures of one person: codes [K, ...] that lead to W+,
            and "weights" that are the same for all (presets with shared weights, "personal").
        name: of the new generator.

    Returns:
        A generator and its parameters, for `jaxinv.io.checkpoints.save`: as given, changed, and
        with "anchors" {"w+": [K, rows, w_dim]}. `jaxinv.models.loading.with_derived` makes them
        ready for searches without a file.

    Raises:
        ValueError: no W, fewer than 2 pictures, or weights that are missing or not shared.
    """
    check_kind("latents", latents, dict, ", as a search finds them")
    if not gen.spec.w_dim:
        raise ValueError(f"generator {gen.spec.name!r} has no W; allowed: generators with one")
    code = {key: np.asarray(value) for key, value in latents.items() if key in ("w", "w+")}
    if not code or "weights" not in latents:
        raise ValueError(
            f"latents hold {', '.join(sorted(latents))}; allowed: w or w+, with weights"
        )
    count = len(next(iter(code.values())))
    if count < 2:
        raise ValueError(f"{count} picture; allowed: at least 2 of one person")
    plain = {key: value for key, value in params.items() if key not in DERIVED}
    tuned = patched(plain, _shared(latents["weights"]))
    rows = [
        np.asarray(convert(gen, params, {key: value[i] for key, value in code.items()}, "w+"))
        for i in range(count)
    ]
    own = build(replace(gen.spec, name=name))
    return own, {**tuned, ANCHORS: {"w+": np.stack(rows)}}


def _shared(changes: Params) -> Params:
    """The change of the first of K pictures; `ValueError` unless it is that of all."""

    def first(tree: Params) -> Params:
        found: Params = {}
        for key, value in tree.items():
            if isinstance(value, dict):
                found[key] = first(value)
                continue
            array = np.asarray(value)
            if not (array == array[:1]).all():
                raise ValueError(
                    "every picture has weights of its own; allowed: a preset that shares them, "
                    "as 'personal' does"
                )
            found[key] = array[0]
        return found

    return first(changes)
