"""Latents for other tools and from them: results of runs written in their layouts, and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.checkpoints import stored_spec
from jaxinv.io.files import find_images, is_there, write_json
from jaxinv.io.images import ImageError, read_upright
from jaxinv.io.latent_conventions import LAYOUTS, Layout, Sample, TorchWriter
from jaxinv.io.latent_files import fit_latents, save_latents
from jaxinv.io.output_folder import EXCHANGE, output_folder
from jaxinv.runs.inputs import output_stem, shown, unique_names
from jaxinv.runs.kept_latents import LATENTS, USUAL, Kept, Reader, kept_latents, latent_places
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    import numpy as np

    from jaxinv.specs import GeneratorSpec

Say = Callable[[str], object]
MARK, PROJECTED = "exchange.json", "projected_w"


def export_latents(
    places: Sequence[str],
    out: str,
    layout: str,
    *,
    read: Reader,
    torch: TorchWriter,
    generator: str | None = None,
    say: Say = lambda line: None,
) -> tuple[int, int]:
    """Write the latents of runs and files in a layout of `LAYOUTS`; returns (written, failed).

    `read` reads files, `torch` writes torch files, `generator` is the one that draws them (None:
    what they say). One that cannot be written costs itself; `say` gets the reason. Raises
    `ValueError` for an unknown layout, and where nothing can be written.
    """
    check_choice("layout", layout, tuple(LAYOUTS))
    files = list(latent_places(places))
    facts = {"verb": "export", "layout": layout, "places": list(places)}
    with _folder(out, files, facts) as folder:
        writer = _Writer(folder, LAYOUTS[layout], torch, generator)
        return _each(kept_latents(files, read), writer.add, say, writer.finish)


def import_latents(
    places: Sequence[str],
    out: str,
    generator: str,
    *,
    read: Reader,
    names: str | None = None,
    say: Say = lambda line: None,
) -> tuple[int, int]:
    """Write what `read` finds in files as latents of ours in OUT/latents; (written, failed).

    `names` is a folder, or a list, of the pictures that they stand for, in the order of the codes:
    encoder4editing writes them without names. Codes that are not of the generator cost themselves.
    Raises `ValueError` where nothing can be read, and for another number of names than of codes.
    """
    spec, files = stored_spec(generator), list(latent_places(places))
    found = list(kept_latents(files, read))
    found = _projected(found) if names is None else _named(found, names)

    def write(kept: Kept) -> None:
        if kept.reason:
            raise ValueError(kept.reason)
        code = fit_latents(spec, kept.latents)
        facts = {"generator": generator, "space": ",".join(sorted(code)), "verb": "import"}
        facts = {**kept.metadata, **facts, "imported": str(kept.file)}
        save_latents(folder / LATENTS / f"{kept.name}.safetensors", code, facts)

    facts = {"verb": "import", "generator": generator, "places": list(places)}
    with _folder(out, files, facts) as folder:
        return _each(found, write, say, lambda: None)


def _projected(found: list[Kept]) -> list[Kept]:
    """Codes of NVlabs' projector, whose files have one name, under those of their folders."""
    files = [one.file.parent if one.file.stem == PROJECTED else one.file for one in found]
    if len({file.name for file in files}) < len(files):
        return found
    names = [
        output_stem(file) if one.file.stem == PROJECTED else one.name
        for one, file in zip(found, files, strict=True)
    ]
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]


def _named(found: list[Kept], names: str) -> list[Kept]:
    """Codes under the names of the pictures in a folder or list."""
    pictures = find_images([names])
    if len(pictures) != len(found):
        raise ValueError(f"{names} holds {len(pictures)} pictures; allowed: {len(found)}, as codes")
    named = zip(found, pictures, unique_names(pictures), strict=True)
    return [
        replace(one, name=name, metadata={**one.metadata, "source": shown(picture)})
        for one, picture, name in named
    ]


@contextmanager
def _folder(out: str, read: Iterable[Path], facts: dict[str, Any]) -> Iterator[Path]:
    """A folder that is new, empty or of an earlier exchange: names in it may be any."""
    place = Path(out)
    if place.is_dir() and any(place.iterdir()) and not (place / MARK).is_file():
        raise ValueError(f"{out} holds other files; allowed: a new folder, or an earlier one's")
    with output_folder(place, EXCHANGE, inputs=read) as folder:
        write_json(folder / MARK, {"schema": 1, **facts})
        yield folder


def _each(
    found: Iterable[Kept], use: Callable[[Kept], object], say: Say, finish: Callable[[], object]
) -> tuple[int, int]:
    """How many could be used, and how many could not; `ValueError` where none could."""
    done, reasons = 0, list[str]()
    for kept in found:
        try:
            use(kept)
            done += 1
        except ValueError as error:
            reasons.append(str(error))
            say(f"warning: {kept.file}: {error}")
    if not done:
        raise ValueError(reasons[0] if reasons else "no latents; allowed: at least one")
    finish()
    return done, len(reasons)


class _Writer:
    """Samples of one layout as they come; those of a `whole` layout are kept until the end."""

    def __init__(
        self, out: Path, layout: Layout, torch: TorchWriter, generator: str | None
    ) -> None:
        self.out, self.layout, self.torch, self.generator = out, layout, torch, generator
        self.specs: dict[str, GeneratorSpec] = {}
        self.waiting: list[Sample] = []

    def add(self, kept: Kept) -> None:
        """Write one, or keep it; `ValueError` if its layout cannot hold it."""
        if kept.reason:
            raise ValueError(kept.reason)
        name = self.generator or kept.metadata.get("generator") or USUAL
        if name not in self.specs:
            if self.layout.whole and self.specs:
                raise ValueError(f"of generator {name!r}; allowed: {next(iter(self.specs))!r}")
            self.specs[name] = stored_spec(name)
        code = fit_latents(self.specs[name], kept.latents)
        picture = _picture(kept) if self.layout.pictures else None
        sample = Sample(kept.name, code, kept.metadata.get("source", ""), picture)
        if self.layout.whole:
            self.waiting.append(sample)
        else:
            self.layout.write(self.out, self.specs[name], [sample], self.torch)

    def finish(self) -> None:
        """Write those that are kept."""
        for spec in self.specs.values() if self.waiting else ():
            self.layout.write(self.out, spec, self.waiting, self.torch)


def _picture(kept: Kept) -> np.ndarray | None:
    try:
        return read_upright(kept.picture)[0] if is_there(kept.picture) else None
    except ImageError:
        return None
