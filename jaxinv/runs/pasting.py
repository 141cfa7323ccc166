"""Pictures of kept latents put back into the photographs from which they were cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from jaxinv.edits.pasting import BORDER, paste, soft_mask
from jaxinv.io import images
from jaxinv.io.files import is_there
from jaxinv.io.output_folder import check_new
from jaxinv.runs.kept_latents import Kept, mask_for
from jaxinv.runs.results import write


def paste_one(
    kept: Kept,
    *,
    photos: str | None = None,
    border: float,
    mask: str | None = None,
) -> np.ndarray:
    """The photograph, uint8 [h, w, 3], with the picture of these latents in its place.

    `photos` is the photograph, or a folder in which it has the name that the latents give; None: it
    lies where it lay. Raises `ValueError` for latents of no photograph, without a picture, and for
    a photograph of another size or content.
    """
    transform = kept.transform
    if kept.reason:
        raise ValueError(kept.reason)
    if transform is None:
        raise ValueError("these latents do not say where in which photograph they lie")
    if not is_there(kept.picture):
        raise ValueError(f"no picture {kept.picture}; allowed: results of invert or edit")
    place = photo_of(kept, photos)
    photo, digest = images.read_upright(place)
    wanted, found = transform.get("source_size"), [photo.shape[1], photo.shape[0]]
    if wanted not in (None, found):
        raise ValueError(f"{place} has {found} px; the picture was cut out of {wanted}")
    stated = kept.metadata.get("source_sha256")
    if photos is None and stated not in (None, "", digest):
        raise ValueError(
            f"{place} is another file than the one that was inverted; allowed: --photo"
        )
    picture, _ = images.read_upright(kept.picture)
    weights = None
    if mask is not None:
        weights = soft_mask(mask_for(Path(mask), kept, len(picture)))
    return paste(photo, picture, np.asarray(transform["quad"]), border=border, mask=weights)


def paste_all(
    found: Iterable[Kept],
    out: Path,
    say: Callable[[str], object],
    warn: Callable[[str], object],
    *,
    photos: str | None = None,
    border: float = BORDER,
    mask: str | None = None,
    overwrite: bool = False,
) -> tuple[list[np.ndarray], int]:
    """Paste every one into the folder `out`: the pictures, and how many could not be.

    `say` is told each file, `warn` what stood in the way. Arguments are those of `paste_one` and
    `write_pasted`.
    """
    pictures, failed = [], 0
    for kept in found:
        try:
            pasted = paste_one(kept, photos=photos, border=border, mask=mask)
            read = [photo_of(kept, photos), kept.picture]
            say(str(write_pasted(out, kept.name, pasted, read, overwrite=overwrite)))
            pictures.append(pasted)
        except (ValueError, OSError) as error:
            failed += 1
            warn(f"warning: {kept.file}: {error}")
    return pictures, failed


def photo_of(kept: Kept, photos: str | None) -> Path:
    """The photograph of these latents; `ValueError` where there is none."""
    source = kept.metadata.get("source", "")
    if photos is None:
        place = Path(source)
    else:
        given = Path(photos)
        place = given / Path(source).name if given.is_dir() else given
    if not source and photos is None:
        raise ValueError("these latents do not say their photograph; allowed: --photo")
    if not is_there(place):
        raise ValueError(f"no photograph {place}; allowed: --photo, a file or a folder")
    return place


def write_pasted(
    out: Path, name: str, picture: np.ndarray, read: Iterable[Path], *, overwrite: bool = False
) -> Path:
    """Write a pasted photograph; `ValueError` where one that is read is there, or another file.

    With `overwrite` the other file is replaced.
    """
    from jaxinv.io.output_folder import check_target

    target, data = out / f"{name}.png", images.encode_png(picture)
    check_target(target, read)
    if not overwrite:
        check_new(target, data)
    write(target, data)
    return target
