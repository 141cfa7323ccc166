"""What a run is asked for, and its files as the search is given them.

A file that cannot be used becomes a reason, never an exception.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.encoders.loading import encoder_file
from jaxinv.encoders.starts import encoder_name
from jaxinv.inversion.masks import check_region
from jaxinv.io import images
from jaxinv.io.files import BadFile, check_exists, find_images, leaves, read_bytes, sha256_file
from jaxinv.io.picture_sets import LABELS, classes_by_path
from jaxinv.runs.masks import file_beside, mask_of, resize_mask, size_text
from jaxinv.runs.observations import (
    Observation,
    ObservationModel,
    at_size,
    make_observation,
    measurements,
    with_noise_level,
)
from jaxinv.runs.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
ANY_CLASS = "any"  # in place of a class: all are tried
FROM_DATA = "dataset"  # in place of a class: what `dataset.json` says of each picture
LONGEST_NAME = 180  # bytes: most file systems allow 255, and suffixes are added


@dataclass(frozen=True)
class Input:
    """One file of the run: its output name, the photo and what is made of it, or why there is none.

    The photo has no pixels any more: what is made of it has. `mask_sha256` is a digest of the mask.
    """

    file: str
    name: str
    photo: images.Photo | None = None
    observation: Observation | None = None
    reason: str = ""
    mask_sha256: str = ""
    label: int | None = None

    @cached_property
    def dedup_key(self) -> bytes:
        """Equal for photos with equal pixels and class: a digest of bytes, cut, mask and label.

        A run keeps those of all its files.
        """
        if self.photo is None:
            return b""
        cut = json.dumps(self.photo.transform)
        told = f"{self.photo.sha256} {cut} {self.mask_sha256} {self.label}"
        return hashlib.sha256(told.encode()).digest()[:16]

    @property
    def batch_key(self) -> tuple[object, ...]:
        """Equal for inputs that can be searched for together."""
        given = self.observation
        if given is None:
            return ()
        return given.measurement.shape, given.mask is None, given.side, given.noise


def unique_names(files: list[Path], known: Mapping[str, str] = {}) -> list[str]:
    """Output names: the files' stems; where two are equal (without regard to case), with a digest.

    The digest is of the file's contents, so that names stay as they are when files are added.
    `known` names, by absolute path, are kept.
    """
    taken = {name.lower() for name in known.values()}
    fresh = [file for file in files if absolute(file) not in known] if known else files
    stems = [output_stem(file) for file in fresh]
    counts = Counter(map(str.lower, map(output_stem, files) if known else stems))
    chosen: dict[Path, str] = {}
    for file, stem in zip(fresh, stems, strict=True):
        name = stem
        if counts[stem.lower()] > 1 or stem.lower() in taken:
            name = f"{stem}-{content_digest(file)}"
        number, base = 1, name
        while name.lower() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.lower())
        chosen[file] = name
    return [chosen[file] if file in chosen else known[absolute(file)] for file in files]


def content_digest(file: Path) -> str:
    """Eight digits that tell contents apart; of the path, where there are no contents."""
    try:
        return sha256_file(file)[:8]
    except (BadFile, OSError):
        return hashlib.sha256(os.fsencode(file)).hexdigest()[:8]


def absolute(file: Path) -> str:
    """The absolute path, written as `shown` writes it."""
    return shown(file.absolute())


def shown(file: Path) -> str:
    """The file as results call it: bytes that are no UTF-8 become a sign that says so."""
    return os.fspath(file).encode(errors="surrogateescape").decode(errors="replace")


def output_stem(file: Path) -> str:
    """The file's stem without what other systems forbid, short enough to be extended."""
    kept = _FORBIDDEN.sub("_", file.stem)
    if not kept.isprintable():
        kept = "".join(c if c.isprintable() else "_" for c in kept)
    return kept.encode()[:LONGEST_NAME].decode(errors="ignore") or "_"


def list_files(request: Request) -> list[Path]:
    """The files to invert; `ValueError` when there is none, and for a path that leads nowhere."""
    for path in request.paths:
        check_exists(path)
    files = find_images(request.paths, limit=request.limit, leaving=True)
    check_pictures(request.paths, files)
    return files


def check_pictures(paths: Sequence[str], files: Sequence[Path]) -> None:
    """Raise `ValueError` where no picture was found in `paths`."""
    if not files:
        raise ValueError(f"no image files in {', '.join(paths)}")


def files_read(request: Request, files: list[Path]) -> Iterator[Path]:
    """Every file that a run reads beside the cache: `files`, masks, and what the request names."""
    yield from files
    yield from (path for path in map(Path, request.paths) if path.is_file())
    named = [request.mask, request.align, request.preset, request.generator]
    named += [] if request.init is None else [encoder_file(encoder_name(request.init))]
    places = (*request.mask_places.values(), *request.image_places.values())
    for place in map(Path, filter(None, [*named, *places])):
        yield from place.iterdir() if place.is_dir() else [place]


def check_mask(request: Request, files: list[Path]) -> None:
    """Raise `ValueError` unless the mask for all files can be read and fits one of them."""
    place = Path(request.mask or "")
    if request.mask is None or place.is_dir():
        return
    reasons: list[str] = []
    for file in files:
        try:
            mask_of(place, file, images.read_photo(file))
        except images.ImageError:
            continue
        except BadFile as error:
            reasons.append(str(error))
        else:
            return
    if reasons:
        raise ValueError(reasons[0])


def read_inputs(
    request: Request, model: ObservationModel, files: Iterable[tuple[Path, str]]
) -> Iterator[Input]:
    """Read every file, with its name, and make of it what is searched for.

    A bad one becomes a reason.
    """
    folders = [place for place in map(Path, request.paths) if place.is_dir()]
    same = None if isinstance(request.label, str) else request.label
    classes = classes_by_path(request.paths) if request.label == FROM_DATA else None
    for path, name in files:
        file = shown(path)
        try:
            if leaves(path, folders):
                raise BadFile("a link that leads out of the folder")
            photo, made = _read(request, model, path)
            label = same if classes is None else class_of(path, classes, model.labels)
            made = replace(made, label=label)
            beside = [made.mask, *made.named_masks.values(), *made.named_images.values()]
            digest = hashlib.sha256(b"".join(a.tobytes() for a in beside if a is not None))
            yield Input(file, name, photo, made, mask_sha256=digest.hexdigest(), label=label)
        except images.ImageError as error:
            yield Input(file, name, reason=error.reason)
        except BadFile as error:
            yield Input(file, name, reason=str(error))
        except MemoryError:
            yield Input(file, name, reason="needs more memory than there is")


def classes_tried(label: int | str, count: int) -> tuple[int, ...]:
    """The classes that a search is to try, of `count`: one, "3,5", or "any".

    Raises `ValueError` for text that is neither.
    """
    if isinstance(label, int):
        return (label,)
    if label == ANY_CLASS:
        return tuple(range(count))
    try:
        return tuple(int(part) for part in label.split(","))
    except ValueError as error:
        raise ValueError(
            f"label {label!r}; allowed: a class, several with commas, {ANY_CLASS}, {FROM_DATA}"
        ) from error


def class_of(file: Path, classes: Mapping[str, object], count: int) -> int:
    """The class of a file, of `count`; `BadFile` where it has none."""
    label = classes.get(os.fspath(file))
    if type(label) is not int or not 0 <= label < count:
        shown_label = "none" if label is None else f"{label!r:.40}"
        raise BadFile(f"class {shown_label} in {LABELS}; allowed: 0 to {count - 1}")
    return label


def _read(
    request: Request, model: ObservationModel, file: Path
) -> tuple[images.Photo, Observation]:
    if file.suffix == ".npy" and model.operator is not None:
        data = read_bytes(file)
        photo = images.Photo(
            os.fspath(file), hashlib.sha256(data).hexdigest(), np.empty((0, 0, 3)), None, None, ()
        )
        return photo, measurements(model, data)
    photo = images.read_photo(
        file,
        size=request.size if model.keeps_size and model.border is None else None,
        align=request.align,
        fit=request.fit,
    )
    missing = None if request.mask is None else mask_of(Path(request.mask), file, photo)
    made = with_noise_level(model, make_observation(model, photo, missing))
    photo = replace(photo, warnings=(*photo.warnings, *made.notes))
    named = {
        name: _named_mask(model, name, mask_of(place, file, photo), len(made.measurement))
        for name, place in request.mask_places.items()
    }
    beside = {
        name: _beside(request, file_beside(place, file), photo, made.side)
        for name, place in request.image_places.items()
    }
    bare = replace(photo, pixels=np.empty((0, 0, 3), np.float32), mask=None)  # a batch holds many
    return bare, replace(made, named_masks=named, named_images=beside)


def _named_mask(model: ObservationModel, name: str, mask: np.ndarray, side: int) -> np.ndarray:
    """The mask at the size of what is seen; `BadFile` where it leaves what it is for no pixel."""
    try:
        check_region(model.regions, name, mask)
    except ValueError as error:
        raise BadFile(str(error)) from error
    return resize_mask(mask, side)


def _beside(request: Request, file: Path, beside: images.Photo, side: int) -> np.ndarray:
    """The picture [side, side, 3] in a file that is read as a photo is.

    Raises `BadFile` where neither shows a face to be cut by, and their shapes differ: nothing says
    then what lies where.
    """
    try:
        photo = images.read_photo(file, align=request.align, fit=request.fit)
    except images.ImageError as error:
        raise BadFile(f"picture {error}") from error
    cuts = [one.transform or {} for one in (photo, beside)]
    (width, height), (wide, high) = (cut["source_size"] for cut in cuts)
    if all(cut["kind"] != "align" for cut in cuts) and width * high != wide * height:
        shape = size_text(cuts[1]["source_size"])
        raise BadFile(
            f"picture {file} has {width}x{height} px; allowed: the shape of the photo, {shape}"
        )
    return at_size(photo.pixels, side)


def batches(inputs: Iterator[Input], batch: int) -> Iterator[list[Input]]:
    """Batches of one size, all with or all without a mask; bad inputs come alone."""
    waiting: dict[tuple[object, ...], list[Input]] = {}
    for item in inputs:
        if item.observation is None:
            yield [item]
            continue
        group = waiting.setdefault(item.batch_key, [])
        group.append(item)
        if len(group) == batch:
            yield waiting.pop(item.batch_key)
    yield from waiting.values()


def deduplicated(
    inputs: Iterator[Input], repeated: list[Input], known: Iterable[bytes] = ()
) -> Iterator[Input]:
    """Inputs whose content has not come before and is not `known`.

    The others go to `repeated`, without pixels.
    """
    seen = set(known)
    for item in inputs:
        if item.photo is None or item.dedup_key not in seen:
            seen.add(item.dedup_key)
            yield item
        else:
            repeated.append(replace(item, observation=None))
