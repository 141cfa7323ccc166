"""Files of latents and directions, ours or other tools', as the verbs read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


def foreign_tree(file: Path) -> Any:
    """The plain contents of another tool's file; None for one of ours. Nothing is executed.

    Latents of ours need no file of their own: they may be packed with others.
    """
    from jaxinv.io.file_kinds import NPY, NPZ, PICKLE, TORCH, read_kind
    from jaxinv.io.files import read_bytes
    from jaxinv.io.latent_files import numpy_tree
    from weights_convert.readers import numpy_objects
    from weights_convert.sources.containers import read_checkpoint

    if not os.path.lexists(file):
        return None
    kind = read_kind(file)
    if kind == NPY and numpy_objects.holds_objects(file):
        return numpy_objects.read(read_bytes(file))
    if kind in (NPY, NPZ):
        return numpy_tree(file)
    return read_checkpoint(file).tree if kind in (PICKLE, TORCH) else None


def read_codes(
    file: Path, *, space: str | None = None
) -> list[tuple[str, Latents, dict[str, str]]]:
    """Latents and metadata of every code in a file, ours or another tool's (`named_codes`).

    With each comes what its name adds to the file's: nothing where there is one, its own name where
    the file gives names, "-00", "-01" where it does not.
    """
    from jaxinv.io.latent_conventions import named_codes
    from jaxinv.io.latent_files import load_latents

    tree = foreign_tree(file)
    if tree is None:
        return [("", *load_latents(file))]
    codes = named_codes(tree, file, space=space)
    if len(codes) == 1:
        return [("", codes[0][1], codes[0][2])]
    return [
        (f"-{name or f'{number:02d}'}", code, facts)
        for number, (name, code, facts) in enumerate(codes)
    ]


def find_direction(
    text: str, name: str, gen: Generator, params: Params, *, space: str | None = None
) -> Way:
    """The direction or walk that a user calls `text`, for the generator called `name`.

    A file, with #NUMBER where it holds several; "s:LAYER:CHANNEL", with commas between several; one
    of the catalogue of faces, or of the labels of its pictures, learned now if need be; or a kept
    one. Raises `ValueError` naming
    what is there, and the nearest name.
    """
    from jaxinv.cli.weights import ensure
    from jaxinv.edits.catalogue import CATALOGUE, catalogue_direction
    from jaxinv.edits.kept import kept_direction
    from jaxinv.edits.labelled import labelled_direction
    from jaxinv.edits.published import channel_direction
    from jaxinv.metrics.labels import label_attributes

    if text.startswith("s:"):
        return channel_direction(gen, params, _channels(text), name=text)
    place, mark, number = text.rpartition("#")
    file = Path(text if Path(text).is_file() or not mark else place)
    if file.is_file():
        return _chosen(file, number if mark and file == Path(place) else None, space, gen)
    if file.suffix or len(file.parts) > 1:
        raise ValueError(f"no direction {text}: there is no such file")
    if text in CATALOGUE and gen.spec.alignment == "ffhq" and gen.spec.w_dim:
        ensure("attributes")
        return catalogue_direction(gen, params, name, text)
    if text in label_attributes(name) and gen.spec.w_dim:
        return labelled_direction(gen, params, name, text)
    return kept_direction(name, text)


def _chosen(file: Path, number: str | None, space: str | None, gen: Generator) -> Way:
    from jaxinv.edits.published import published_directions, published_mapper
    from jaxinv.edits.ways import load_way

    tree = foreign_tree(file)
    found: list[Way] = [] if tree is not None else [load_way(file)]
    if tree is not None and (mapper := published_mapper(tree, file.name)) is not None:
        found = [mapper]
    elif tree is not None:
        found += published_directions(tree, file.name, space=space, styles=gen.spec.styles)
    if number is None and len(found) > 1:
        raise ValueError(
            f"{file} holds {len(found)} directions; allowed: {file}#0 to #{len(found) - 1}"
        )
    if number is not None and not (number.isdecimal() and int(number) < len(found)):
        raise ValueError(f"direction {number!r} of {file}; allowed: #0 to #{len(found) - 1}")
    return found[int(number or 0)]


def _channels(text: str) -> list[tuple[int, int, float]]:
    """Channels of "s:LAYER:CHANNEL,LAYER:CHANNEL:STEP"; a step is 1 by default."""
    found = []
    for part in text.removeprefix("s:").split(","):
        pieces = part.split(":")
        try:
            layer, channel, *step = pieces
            (size,) = step or ["1"]
            found.append((int(layer), int(channel), float(size)))
        except ValueError as error:
            raise ValueError(
                f"channels {text!r}; allowed: s:LAYER:CHANNEL or s:LAYER:CHANNEL:STEP, with commas "
                "between several"
            ) from error
    return found
