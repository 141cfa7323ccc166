"""Latents to go on with: of folders of results and of files, and the generators that draw them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.io import latent_shards
from jaxinv.io.files import BadFile
from jaxinv.io.image_ops import crop
from jaxinv.io.latent_files import fit_latents, load_latents
from jaxinv.models.loading import load_generator
from jaxinv.runs.inputs import output_stem
from jaxinv.runs.masks import read_mask, size_text

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

LATENTS, IMAGES = "latents", "images"  # folders of results
USUAL = "ffhq"  # the generator of latents that do not say theirs
# Reads the latents of a file, each with the end of its name and its metadata.
Reader = Callable[[Path], list[tuple[str, "Latents", dict[str, str]]]]


@dataclass(frozen=True)
class Kept:
    """Latents of one sample by the name of their results, or the reason why there are none."""

    file: Path
    name: str
    latents: Latents = field(default_factory=dict[str, Any])
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    reason: str = ""

    @property
    def transform(self) -> dict[str, Any] | None:
        """How the photo was cut; None where nobody knows."""
        try:
            found = json.loads(self.metadata.get("transform", "null"))
            quad = np.asarray(found["quad"], np.float64)
            return found if quad.shape == (4, 2) and np.isfinite(quad).all() else None
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def picture(self) -> Path:
        """Where the picture lies that was drawn of them."""
        return self.file.parent.parent / IMAGES / f"{self.file.stem}.png"


def one_file(file: Path) -> list[tuple[str, Latents, dict[str, str]]]:
    """The latents of a file that jaxinv has written, as a `Reader` gives them."""
    return [("", *load_latents(file))]


def list_latents(places: Iterable[str | Path], read: Reader = one_file) -> list[Kept]:
    """Latents of all places: folders of results (those in their latents/), and files.

    A file that cannot be read becomes a reason. Raises `ValueError` for a folder without results,
    and where no file can be read.
    """
    found = list(kept_latents(latent_places(places), read))
    if not found:
        raise ValueError(f"no latents in {', '.join(map(str, places)) or 'nothing'}")
    if all(one.reason for one in found):
        raise ValueError(f"{found[0].file}: {found[0].reason}")
    return found


def kept_latents(files: Iterable[Path], read: Reader = one_file) -> Iterator[Kept]:
    """The latents of files one by one, each under a name of its own, or why there are none."""
    taken: set[str] = set()
    for one in (one for file in files for one in _read(file, read)):
        name, number = one.name, 1
        while name.lower() in taken:
            number += 1
            name = f"{one.name}-{number}"
        taken.add(name.lower())
        yield replace(one, name=name)


def latent_places(places: Iterable[str | Path]) -> Iterator[Path]:
    """Files, and of folders of results all latents, those that are packed included.

    Raises `ValueError` for a folder without results.
    """
    for place in map(Path, places):
        if not place.is_dir():
            yield place
            continue
        names = {file.stem for file in (place / LATENTS).glob("*.safetensors")}
        packed = latent_shards.packed_rows(place)
        names |= packed.rows.keys()
        files = [place / LATENTS / f"{name}.safetensors" for name in sorted(names)]
        files += packed.broken  # reading it says why
        if not files:
            raise ValueError(f"{place} holds no results; allowed: a folder with {LATENTS}/")
        yield from files


def _read(file: Path, read: Reader) -> list[Kept]:
    stem = output_stem(file)
    try:
        return [Kept(file, stem + end, code, facts) for end, code, facts in read(file)]
    except (ValueError, OSError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        return [Kept(file, stem, reason=str(said))]


class Generators:
    """Generators by name, each loaded once; `ready` is called with a name before its first load."""

    def __init__(self, name: str | None, ready: Callable[[str], object] | None = None) -> None:
        self.name, self.ready = name, ready
        self.loaded: dict[str, tuple[Generator, Params]] = {}

    def name_for(self, kept: Kept) -> str:
        """What draws these latents: the name given, else the one that they say."""
        return self.name or kept.metadata.get("generator") or USUAL

    def only_name(self, kept: Sequence[Kept]) -> str:
        """What draws all these latents, those that cannot be read aside; the usual one of none.

        Raises `ValueError` for latents of several generators.
        """
        names = list(dict.fromkeys(self.name_for(one) for one in kept if not one.reason))
        if len(names) > 1:
            raise ValueError(f"latents of generators {' and '.join(names)}; allowed: of one, or -g")
        return names[0] if names else self.name or USUAL

    def load(self, name: str) -> tuple[Generator, Params]:
        """The generator and its parameters; `ValueError` where there is none of that name."""
        if name not in self.loaded:
            if self.ready is not None:
                self.ready(name)
            self.loaded[name] = load_generator(name)
        return self.loaded[name]

    def fit(self, kept: Kept) -> tuple[Generator, Params, Latents]:
        """The generator of these latents, and them laid out for it; `ValueError` if they misfit."""
        gen, params = self.load(self.name_for(kept))
        return gen, params, fit_latents(gen.spec, kept.latents)


def mask_for(place: Path, kept: Kept, side: int) -> np.ndarray:
    """Where a mask file is white, [side, side] in [0, 1], for the picture of these latents.

    `place` is that file, or a folder in which it is called as they are. One of the photograph's
    size is cut as the photograph was; any other square one is of the picture. Raises `BadFile` for
    one that is neither.
    """
    if place.is_dir():
        found = sorted(place.glob(f"{kept.name}.*")) or [place / f"{kept.name}.png"]
        place = found[0]
    mask = read_mask(place)
    size = (mask.transform or {})["source_size"]
    pixels = np.repeat(np.mean(mask.pixels, axis=-1, keepdims=True), 3, axis=-1)
    transform = kept.transform
    if transform is not None and transform.get("source_size") == size:
        quad = np.asarray(transform["quad"]) * (len(pixels) / np.asarray(size, np.float64))
    elif size[0] == size[1]:
        quad = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float64) * len(pixels)
    else:
        wanted = [transform["source_size"]] if transform and "source_size" in transform else []
        allowed = " or ".join([*map(size_text, wanted), "a square"])
        raise BadFile(f"mask {place} has {size_text(size)} px; allowed: {allowed}")
    return np.clip((crop(pixels, quad, side)[0][..., 0] + 1) / 2, 0, 1)
