"""Checkpoints of a run: whole or not there, verified before they are trusted, few of them kept."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxinv.io.files import sha256_file, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jaxinv.types import Tree

FOLDER, SEAL = "checkpoints", "sha256.json"
KEPT = 2


class Checkpoints:
    """The checkpoints of a run folder, by step.

    Each is a folder that orbax writes, and beside its arrays a list of the digests of its files,
    written last: what has no such list, or does not agree with it, was not finished and is not
    read.
    """

    def __init__(self, run: str | Path) -> None:
        self.folder = Path(run).absolute() / FOLDER

    def steps(self) -> list[int]:
        """Steps of which there is a folder, in their order, verified or not."""
        names = (path.name for path in self.folder.glob("[0-9]*") if path.is_dir())
        return sorted(int(name) for name in names if name.isdigit())

    def place(self, step: int) -> Path:
        """The folder of one step."""
        return self.folder / f"{step:08d}"

    def save(self, step: int, state: Tree, keep: Iterable[int] = ()) -> None:
        """Write `state` and then remove older ones but the last `KEPT` and those of `keep`.

        Raises `OSError` if it cannot be written; what was there before stays.
        """
        place = self.place(step)
        try:
            if first := jax.process_index() == 0:
                shutil.rmtree(place, ignore_errors=True)
            with _checkpointer() as writer:
                writer.save(place / "state", state)
            if first:
                write_json(place / SEAL, {"step": step, "files": _digests(place)})
        except Exception as error:  # orbax and its writers have errors of many kinds
            shutil.rmtree(place, ignore_errors=True)
            held = [str(one) for one in self.steps()]
            raise OSError(
                f"the checkpoint of step {step} could not be written to {self.folder} "
                f"({_reason(error)}); the last good one ({held[-1] if held else 'none'}) is kept: "
                f"make room and give the same command again"
            ) from error
        stay = {*self.steps()[-KEPT:], *keep}
        for old in self.steps():
            if first and old not in stay:
                shutil.rmtree(self.place(old), ignore_errors=True)

    def verified(self, step: int) -> bool:
        """Whether the checkpoint of `step` is there, whole and as it was written."""
        place = self.place(step)
        try:
            seal = json.loads((place / SEAL).read_text("utf-8"))
            return seal == {"step": step, "files": _digests(place)}
        except (OSError, ValueError):
            return False

    def latest(self) -> int | None:
        """The last step whose checkpoint is verified; None where there is none."""
        return next((step for step in reversed(self.steps()) if self.verified(step)), None)

    def load(self, step: int, like: Tree) -> Tree:
        """The state of `step`, in the shapes, types and shardings of `like`.

        Raises `ValueError` where it holds other arrays.
        """
        abstract = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding), like
        )
        try:
            with _checkpointer() as reader:
                return reader.restore(self.place(step) / "state", abstract)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.place(step)} is of another run ({error})") from error


@contextlib.contextmanager
def _checkpointer() -> Iterator[Any]:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as found:
        yield found
        found.wait_until_finished()


def _digests(place: Path) -> dict[str, str]:
    files = (path for path in sorted(place.rglob("*")) if path.is_file() and path.name != SEAL)
    return {path.relative_to(place).as_posix(): sha256_file(path) for path in files}


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
