"""Recipes done again: what someone did in the studio, on kept latents."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.io.files import BadFile, read_bytes
from jaxinv.runs.edits import EditResult, Finder, edited_facts, write_edits, write_result
from jaxinv.runs.kept_latents import Generators, Kept, Reader, list_latents, one_file
from jaxinv.sessions.operations import Operation
from jaxinv.sessions.recipes import LARGEST, Recipe
from jaxinv.sessions.session import Session

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params

OTHER = "the recipe began with other latents: what it does may look different here"


def run_recipe(
    file: str,
    places: tuple[str, ...],
    out: str,
    find: Finder,
    *,
    generator: str | None = None,
    read: Reader = one_file,
    ready: Callable[[str], object] | None = None,
    say: Callable[[str], object] = lambda line: None,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Do all operations of a recipe to every sample; returns (samples done, samples failed).

    Arguments are those of `run_edits`. Latents that are not those of the recipe are edited too,
    which is said. Raises `ValueError` before anything is drawn for a file that is no recipe, and
    for operations that do not suit the generator.
    """
    try:
        data = read_bytes(Path(file), LARGEST)
    except BadFile as error:
        raise ValueError(f"recipe {file}: {error}") from error
    recipe, found = Recipe(data), list_latents(places, read)
    generators = Generators(generator, ready)
    operations: dict[str, list[Operation]] = {}
    for name in dict.fromkeys(generators.name_for(one) for one in found if not one.reason):
        if recipe.generator != name:
            say(f"warning: the recipe is of generator {recipe.generator!r}, not of {name!r}")
        gen, params = generators.load(name)
        operations[name] = recipe.operations(gen.spec, partial(_way, find, name, (gen, params)))

    def edit_one(kept: Kept) -> EditResult:
        name = generators.name_for(kept)
        gen, params, latents = generators.fit(kept)
        session = Session(gen, params, latents)
        other = "" if session.fingerprint() == recipe.start else OTHER
        for operation in operations[name]:
            session.apply(operation)
        told = [{"recipe": Path(file).name, "operations": len(operations[name])}]
        facts = edited_facts(kept, name, session.latents, told)
        picture = session.picture()
        done = write_result(Path(out), kept.name, picture, session.latents, facts)
        notes = (other,) if other else ()
        return EditResult(str(kept.file), kept.name, "ok", "", name, files=(done,), warnings=notes)

    asked = {"recipe": json.loads(data), "places": list(places), "generator": generator}
    return write_edits(out, asked, found, edit_one, say=say, overwrite=overwrite)


def _way(find: Finder, name: str, drawn_by: tuple[Generator, Params], text: str) -> Way:
    return find(text, name, *drawn_by)
