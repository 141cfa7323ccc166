"""Directions that are kept: a folder of the cache for every generator, with files by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from jaxinv.edits.directions import Direction
from jaxinv.edits.walks import Walk
from jaxinv.edits.ways import Way, load_way, save_way
from jaxinv.io.checkpoints import cache_dir
from jaxinv.specs.checks import check_choice, check_kind

END = ".safetensors"


def directions_folder(generator_name: str) -> Path:
    """The folder of directions of the generator that is called so; it is not made here."""
    name = Path(generator_name).stem
    if not name:
        raise ValueError(f"generator {generator_name!r}; allowed: a name, or a file of weights")
    return cache_dir() / "directions" / name


def keep_direction(direction: Way) -> Path:
    """Keep a direction or walk under its name among those of its generator; returns the file.

    One of the same name is replaced. Raises `ValueError` for a name that is no file's, and for a
    direction without a `generator_name`.
    """
    if not isinstance(direction, Walk):
        check_kind("direction", direction, Direction)
    name = direction.name
    if not name or name.startswith(".") or Path(name).name != name or not name.isprintable():
        raise ValueError(f"direction called {name!r}; allowed: a bare name")
    return save_way(directions_folder(direction.generator_name) / (name + END), direction)


def kept_names(generator_name: str) -> list[str]:
    """Names of the directions that are kept for a generator."""
    return sorted(path.stem for path in directions_folder(generator_name).glob(f"*{END}"))


def kept_or_learned(
    generator_name: str,
    name: str,
    fits: Callable[[Way], bool],
    learn: Callable[[], Mapping[str, Direction]],
) -> Way:
    """What is kept under that name, where it fits; else what is learned now and kept, all of it."""
    if name in kept_names(generator_name):
        found = kept_direction(generator_name, name)
        if fits(found):
            return found
    learned = learn()
    for direction in learned.values():
        keep_direction(direction)
    return learned[name]


def kept_direction(generator_name: str, name: str) -> Way:
    """What is kept under that name; `ValueError` naming the others, and the nearest."""
    names = kept_names(generator_name)
    if not names:
        raise ValueError(
            f"no direction is kept for generator {generator_name!r}, so none is called {name!r}; "
            "allowed: a file of one"
        )
    check_choice(f"direction of generator {generator_name!r}", name, names)
    return load_way(directions_folder(generator_name) / (name + END))
