"""Students: small nets that make one edit of pictures, without a generator, as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.distillation import student, student_layers
from jaxinv.edits.stated_facts import check_facts, read_facts, read_stated, written_facts
from jaxinv.io import checkpoints
from jaxinv.io.images import resize
from jaxinv.specs.checks import check_array, check_kind, check_place, check_whole

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.types import Params

PICTURES = "pictures"
LARGEST = 4096  # px of the pictures that a student may ask for


@dataclass(frozen=True, eq=False)
class Student:
    """A net that makes an edit of pictures [side, side, 3], learned of a generator's pairs.

    `params` are those of `distillation.student`; the other fields are as of a `Direction`, but
    "space", which is "pictures". Raises `ValueError` for parameters that are none.
    """

    name: str
    params: Params
    side: int
    space: str = PICTURES
    generator: str = ""
    generator_name: str = ""
    unit: str = ""
    usable: tuple[float, float] | None = None
    effects: dict[str, float] = field(default_factory=dict[str, float])
    source: str = ""

    def __post_init__(self) -> None:
        check_facts(self)
        check_whole(f"side of student {self.name!r}", self.side, 1)
        if self.side > LARGEST:
            raise ValueError(f"side {self.side} of a student; allowed: up to {LARGEST}")
        check_kind(f"parameters of student {self.name!r}", self.params, dict)
        student_layers(self.params)
        what = f"an array of student {self.name!r}"
        held = jax.tree.map(lambda a: check_array(what, a).astype(np.float32), self.params)
        object.__setattr__(self, "params", held)


def save_student(path: str | Path, found: Student) -> Path:
    """Write a student as one .safetensors file; returns `path`."""
    check_place("path", path)
    check_kind("student", found, Student)
    return checkpoints.save(path, found.params, written_facts(found) | {"side": str(found.side)})


def load_student(path: str | Path) -> Student:
    """The student that `save_student` has written; nothing in the file is executed.

    Raises `ValueError` for a file that holds none, `OSError` where there is no file.
    """
    tree, facts = read_stated(path, "student")
    try:
        return Student(**read_facts(facts), params=tree, side=int(facts.get("side", "")))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no usable student: {error}") from error


_look = jax.jit(student)


def apply_student(found: Student, images: Any) -> np.ndarray:
    """Images float [B, h, w, 3] in [-1, 1] after the student's edit, in their own size.

    The net sees them at its own side; what it changes is enlarged and added, so that their detail
    stays. Raises `ValueError` for other arrays.
    """
    check_kind("student", found, Student)
    given = check_array("images", images, meant=" [B, h, w, 3]").astype(np.float32)
    if given.ndim != 4 or given.shape[-1] != 3 or given.shape[1] != given.shape[2]:
        raise ValueError(f"images {list(given.shape)}; allowed: square ones, [B, h, h, 3]")
    made = []
    for image in given:
        small = resize(image, found.side)
        change = np.asarray(_look(found.params, jnp.asarray(small)[None])[0]) - small
        wide = jax.image.resize(jnp.asarray(change), image.shape, "linear")
        made.append(np.clip(image + np.asarray(wide), -1, 1))
    return np.stack(made)
