"""Pictures of random codes that are drawn once and stored, for runs that go over them.

Where drawing costs more than learning does, a few thousand stored pictures teach more in an hour
than new ones at every step (Perarnau et al. 2016, ICGAN, arXiv:1611.06355, section 3.2).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders.examples import drawn
from jaxinv.io.differences import differences, told
from jaxinv.io.files import write_json
from jaxinv.io.progress import track
from jaxinv.specs.checks import check_whole
from jaxinv.training.data import Synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.encoders.objective import Given, Lesson
    from jaxinv.types import Array, Tree

DONE, PART = "drawn.json", 16  # how many are there; how many are drawn between two counts


class Stored:
    """Stored pictures by number: {"image": uint8 [s, s, 3], "code", and "label" if classes are}."""

    def __init__(self, leaves: list[np.ndarray], tree: Any) -> None:
        self.leaves, self.tree = leaves, tree

    def __len__(self) -> int:
        return len(self.leaves[0])

    def __getitem__(self, number: int) -> Any:
        return jax.tree.unflatten(self.tree, [np.array(leaf[number]) for leaf in self.leaves])


def stored_pictures(
    lesson: Lesson,
    given: Given,
    count: int,
    folder: str | Path,
    *,
    seed: int = 0,
    report: Callable[[str], object] | None = None,
) -> Stored:
    """The first `count` pictures of `Synthetic(seed)` and their codes, from a folder of .npy files.

    Those that are not there yet are drawn now, at the size at which `lesson` compares pictures; a
    drawing that was stopped goes on. Lines about the progress go to `report`, or to stderr.

    Raises `ValueError` for fewer than one, and for a folder that holds others.
    """
    check_whole("stored pictures", count, 1)
    place, keys = Path(folder), Synthetic(seed)
    place.mkdir(parents=True, exist_ok=True)
    facts = _facts(lesson, count, seed)
    done = _done(place / DONE, facts)
    one = partial(_one, lesson, given)
    shown, tree = jax.tree.flatten(jax.eval_shape(one, jnp.zeros(2, jnp.uint32)))
    leaves = [_opened(place / f"{i}.npy", (count, *s.shape), s.dtype) for i, s in enumerate(shown)]
    draw = jax.jit(partial(jax.lax.map, one))

    def parts() -> Iterator[None]:
        for start in range(done, count, PART):
            numbers = range(start, min(start + PART, count))
            found = draw(np.stack([keys[i]["key"] for i in numbers]))
            for leaf, values in zip(leaves, jax.tree.leaves(found), strict=True):
                leaf[start : start + PART] = np.asarray(values)
                leaf.flush()
            write_json(place / DONE, {"drawn": numbers[-1] + 1, "facts": facts})
            yield

    left = -(-(count - done) // PART)
    if left:
        label = f"drawing {count - done} pictures (parts of {PART})"
        for _ in track(parts(), left, label, report):
            pass
    return Stored(leaves, tree)


def _facts(lesson: Lesson, count: int, seed: int) -> dict[str, Any]:
    """What the pictures are a function of."""
    spec, source = lesson.encoder.spec, lesson.preset.source
    known = {"generator_sha256": spec.generator, "space": spec.output, "size": lesson.size}
    return {**known, "mixing": source.mixing, "count": count, "seed": seed}


def _done(path: Path, facts: dict[str, Any]) -> int:
    """How many pictures are stored; `ValueError` where they are others."""
    if not path.is_file():
        return 0
    try:
        held: Any = json.loads(path.read_text("utf-8"))
        found, done = list(differences(held["facts"], facts)), int(held["drawn"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error!s:.120}); use a new folder") from error
    if found:
        raise ValueError(
            f"{path.parent} holds other pictures: {told(found)}; allowed: the same, or a new folder"
        )
    return done


def _one(lesson: Lesson, given: Given, key: Array) -> Tree:
    """What is stored of one key [2]."""
    plan = (lesson.encoder.spec.output, lesson.size)
    known, beside, picture = drawn(
        lesson.gen, given.generator, lesson.preset.source, jax.random.wrap_key_data(key), plan=plan
    )
    levels = jnp.clip(jnp.rint((picture + 1.0) * 127.5), 0, 255).astype(jnp.uint8)
    return {"image": levels, "code": known[plan[0]], **beside}


def _opened(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array on disk, made if need be; `ValueError` where another one is there."""
    if not path.is_file():
        return np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    found = np.lib.format.open_memmap(path, "r+")
    if found.shape != shape or found.dtype != dtype:
        raise ValueError(
            f"{path} holds {found.dtype} {list(found.shape)}, not {np.dtype(dtype)} "
            f"{list(shape)}; use a new folder"
        )
    return found
