"""Batches by number: `batches[i]` is a pure function of (seed, i), so that a run can be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grain
import jax
import numpy as np

from jaxinv.io.decoding import decode
from jaxinv.io.files import BadFile
from jaxinv.io.image_ops import fit_square, shrink, to_uint8
from jaxinv.io.images import resize
from jaxinv.io.text import shortened
from jaxinv.specs.checks import check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.io.picture_sets import PictureSet

    Item = dict[str, np.ndarray]
    Change = Callable[[Item, np.random.Generator], Item]

CROPS = ("centre", "random")
KEPT_BYTES = 2**30  # of decoded pictures that are held in memory
HELD_OUT = 0.04  # share of the pictures that validation sees and training does not
ENDLESS = 2**40


class Pictures:
    """Pictures of a set as a source by number: {"image": uint8 [size, size, 3], "label" [classes]}.

    For random crops an image keeps its shape: its shorter side is `size`. In place of a file that
    cannot be read stands the next one that can; `problems` says which, and why. A picture is
    decoded once as long as `KEPT_BYTES` hold them. Raises `ValueError` where none can be read.
    """

    def __init__(
        self,
        pictures: PictureSet,
        size: int,
        *,
        indices: Sequence[int] | None = None,
        labels: np.ndarray | None = None,
        crop: str = "centre",
    ) -> None:
        check_whole("size", size, 1)
        check_choice("crop", crop, CROPS)
        self.pictures, self.size, self.labels, self.crop = pictures, int(size), labels, crop
        self.indices = list(range(len(pictures.names)) if indices is None else indices)
        self.problems: dict[str, str] = {}
        self._kept: dict[int, np.ndarray] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> Item:
        for step in range(len(self.indices)):
            index = self.indices[(number + step) % len(self.indices)]
            image = self._image(index)
            if image is not None:
                label = {} if self.labels is None else {"label": self.labels[index]}
                return {"image": image, **label}
        name, reason = next(iter(self.problems.items()))
        raise ValueError(f"no picture of {self.pictures.place} can be used: {name}: {reason}")

    def _image(self, index: int) -> np.ndarray | None:
        name = self.pictures.names[index]
        if index in self._kept or name in self.problems:
            return self._kept.get(index)
        try:
            whole = decode(self.pictures.read(index), size=self.size, background=0.5).pixels
            image = _cut(to_uint8(whole), self.size, self.crop)
        except (BadFile, OSError) as error:
            self.problems[name] = shortened(error)
            return None
        if image.nbytes <= self._room:
            self._room -= image.nbytes
            self._kept[index] = image
        return image


def _cut(whole: np.ndarray, size: int, crop: str) -> np.ndarray:
    height, width = whole.shape[:2]
    if crop == "random" and size <= min(height, width):
        scale = size / min(height, width)
        sides = round(height * scale), round(width * scale)
        return np.rint(shrink(whole, *sides)).astype(np.uint8)
    square = fit_square(whole, None, "crop", 0.5)[0]
    return to_uint8(resize(square, size))


class Synthetic:
    """Random keys by number: {"key": uint32 [2]}, for `jax.random.wrap_key_data`."""

    def __init__(self, seed: int, count: int = ENDLESS) -> None:
        self.seed, self.count = seed, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Item:
        return {"key": np.random.SeedSequence((self.seed, int(number))).generate_state(2)}


class Joined:
    """Batches by number that hold what those of all `parts` of the same number do."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __getitem__(self, number: int) -> Item:
        return {name: value for part in self.parts for name, value in part[number].items()}


def split(count: int, share: float = HELD_OUT) -> tuple[list[int], list[int]]:
    """Indices for training and for validation: evenly spaced ones, at least 1 of 2 or more."""
    held = max(round(count * share), 1) if count > 1 and share else 0
    chosen = {int((i + 0.5) * count / held) for i in range(held)}
    return [i for i in range(count) if i not in chosen], sorted(chosen)


def flip(item: Item, draws: np.random.Generator) -> Item:
    """The item, its image mirrored half of the time."""
    return {**item, "image": item["image"][:, ::-1]} if draws.random() < 0.5 else item


def random_crop(item: Item, draws: np.random.Generator) -> Item:
    """The item, its image [h, w, 3] cut to a square of its shorter side somewhere."""
    image = item["image"]
    side = min(image.shape[:2])
    top, left = (int(draws.integers(0, n - side + 1)) for n in image.shape[:2])
    return {**item, "image": image[top : top + side, left : left + side]}


def batches(
    source: Any,
    batch: int,
    *,
    seed: int,
    changes: Sequence[Change] = (),
    shuffle: bool = True,
    whole: bool = False,
) -> Any:
    """Endless batches of the items of a random-access source, `batches[i]` for any i from 0.

    A batch is the items' dict with a leading axis, of numpy arrays; `changes`(item, draws) are made
    one after the other. Every epoch has another order. Of several processes (`jax.distributed`)
    each gets its own rows, or, for a `whole` batch, all. Raises `ValueError` for a batch that they
    cannot share.
    """
    check_whole("batch", batch, 1)
    first, count = (0, 1) if whole else (jax.process_index(), jax.process_count())
    if batch % count:
        raise ValueError(f"batch {batch}; allowed: a multiple of the {count} processes")
    items = grain.MapDataset.source(source).seed(seed)
    items = (items.shuffle() if shuffle else items).repeat()
    for change in changes:
        items = items.random_map(change)
    return items.batch(batch) if count == 1 else _Rows(items, batch, first, count)


class _Rows:
    """The rows of process `first` of `count`, in the order that batches have in one process."""

    def __init__(self, items: Any, batch: int, first: int, count: int) -> None:
        self.items, self.batch = items, batch
        self.rows = range(first * batch // count, (first + 1) * batch // count)

    def __len__(self) -> int:
        return len(self.items) // self.batch

    def __getitem__(self, number: int) -> Item:
        found = [self.items[number * self.batch + row] for row in self.rows]
        return {name: np.stack([one[name] for one in found]) for name in found[0]}
