"""What a verb was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxinv.io import images
from jaxinv.io.files import nearest


@dataclass(frozen=True)
class Request:
    """What a verb was asked for; all of it goes into run.json.

    `operator` is what the pictures have gone through (see `specs.read_operator`), `mask` a file or
    folder whose white pixels are missing in them, `border` the share of each side that is. With
    `simulate` the files are clean and go through it first. The search ends where pixels differ by
    `discrepancy` (root mean square on [-1, 1]; `ESTIMATE_PER_IMAGE`: each picture's own). The best
    `samples` restarts are kept. `label` is the class of all files, or "dataset": what their
    `dataset.json` says. Without `scores` results are not compared with their targets.
    `named_masks` are "NAME=PLACE": files, or folders of files, that are white where the mask of
    that name holds (see `specs.MaskSpec`); `named_images` likewise the pictures of that name that
    terms compare with (see `specs.Term`), and `text` what their "text" says. `init` is
    "encoder:NAME", of `encode` the encoder itself, which looks `passes` times and is told
    `attribute`. Results are packed `shard_size` to a file; None: each has its own.
    """

    paths: tuple[str, ...]
    out: str
    generator: str = "ffhq"
    preset: str = "default"
    steps: int | None = None
    restarts: int | None = None
    batch: int | str | None = None
    precision: str = "float32"
    seed: int = 0
    label: int | str | None = None
    size: int | None = None
    align: str = "auto"
    fit: images.Fit = "crop"
    limit: int | None = None
    export: tuple[str, ...] = ()
    verb: str = "invert"
    operator: str | None = None
    mask: str | None = None
    border: float | None = None
    discrepancy: float | str | None = None
    simulate: bool | None = None
    samples: int | None = None
    scores: bool = True
    named_masks: tuple[str, ...] = ()
    named_images: tuple[str, ...] = ()
    text: str | None = None
    init: str | None = None
    attribute: float | None = None
    passes: int | None = None
    shard_size: int | None = None

    @property
    def mask_places(self) -> dict[str, Path]:
        """Files or folders of the named masks; `ValueError` for what is not NAME=PLACE."""
        return named_places("--named-mask", self.named_masks)

    @property
    def image_places(self) -> dict[str, Path]:
        """Files or folders of the named images; `ValueError` for what is not NAME=PLACE."""
        return named_places("--named-image", self.named_images)


def named_places(option: str, texts: tuple[str, ...]) -> dict[str, Path]:
    """Files or folders by name; `ValueError` for a text of `option` that is not NAME=PLACE."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not (name and equals and Path(place).exists()):
            raise ValueError(
                f"{option} {text!r}; allowed: NAME=FILE or NAME=FOLDER"
                f"{nearest(Path(place)) if place else ''}"
            )
        found[name] = Path(place)
    return found
