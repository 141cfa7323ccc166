"""Convert a fixture by the public command, draw, and compare with what the original code drew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.cli.main import main
from jaxinv.models.arguments import check_generator
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import load_generator
from jaxinv.types import Params

ALLOWED = 1e-5  # of the largest value of what is compared
Wanted = dict[str, np.ndarray]


class Drawn(NamedTuple):
    """A converted generator, and the arrays of its fixture."""

    gen: Generator
    params: Params
    wanted: Wanted

    def map(self, *given: Any) -> np.ndarray:
        """w of z [n, z_dim], and of classes [n, classes] where they are given."""
        return np.asarray(jax.vmap(partial(self.gen.map, self.params))(*map(jnp.asarray, given)))

    def images(self, **latents: Any) -> np.ndarray:
        """Images [n, C, h, w] of latents with a leading axis; "+" is written "plus"."""
        named = {name.replace("plus", "+"): value for name, value in latents.items()}
        draw = jax.jit(jax.vmap(partial(self.gen.synthesize, self.params)))
        return np.asarray(draw(jax.tree.map(jnp.asarray, named))).transpose(0, 3, 1, 2)

    def noise(self, name: str = "noise_in_{}") -> tuple[np.ndarray, ...]:
        """The given noise maps, [n, h, w] each."""
        return tuple(self.wanted[name.format(i)][:, 0] for i in range(len(self.gen.spec.noise)))

    def silence(self, count: int) -> tuple[np.ndarray, ...]:
        """Noise maps of zeros for `count` samples."""
        return tuple(np.zeros((count, side, side), np.float32) for side in self.gen.spec.noise)

    def states(self, latents: Mapping[str, Any]) -> dict[str, Any]:
        """What is inside at every step for the latents of one sample."""
        given = jax.tree.map(jnp.asarray, dict(latents))
        return jax.jit(self.gen.features)(self.params, given)


def converted(folder: Path, checkpoint: str, *words: str, generator: str = "") -> Drawn:
    """The generator that `jaxinv convert` makes of a file of the folder.

    Where it makes an encoder of the folder's name, `generator` is what the decoder is called.
    """
    assert main(["convert", str(folder / checkpoint), "--name", folder.name, *words]) == 0
    loaded = load_generator(generator or folder.name)
    check_generator(*loaded)
    return Drawn(*loaded, dict(np.load(folder / "io.npz")))


def checkpoint(folder: Path, *endings: str) -> str:
    """The name of the one file with such an ending."""
    held = [path.name for path in folder.iterdir() if path.name.endswith(endings)]
    assert len(held) == 1, f"{folder.name} holds {held}; wanted: one of {endings}"
    return held[0]


def parts(name: str) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """How the files call an image, or the parts of it that they keep."""
    return {
        name: lambda x: x,
        f"{name}_sub4": lambda x: x[..., ::4, ::4],
        f"{name}_sub8": lambda x: x[..., ::8, ::8],
        f"{name}_crop": _crop,
    }


def _crop(x: np.ndarray) -> np.ndarray:
    middle, left = x.shape[-2] // 2, x.shape[-1] // 4
    return x[..., middle - 32 : middle + 32, left : left + 64]


def compare(wanted: Wanted, found: Mapping[str, np.ndarray]) -> None:
    """Fail where an array of ours is further from the original than `ALLOWED`; tell all of them.

    Of several samples the file may hold the first ones only.
    """
    errors: dict[str, float] = {}
    for name, mine in found.items():
        kept = {key: cut for key, cut in parts(name).items() if key in wanted}
        assert kept, f"{name!r} is not in the fixture; it has {sorted(wanted)}"
        for key, cut in kept.items():
            reference = wanted[key]
            ours = cut(np.asarray(mine))[: len(reference)]
            assert ours.shape == reference.shape, (key, ours.shape, reference.shape)
            errors[key] = float(np.abs(ours - reference).max() / np.abs(reference).max())
    wrong = {name: error for name, error in errors.items() if not error <= ALLOWED}
    assert not wrong, f"relative errors {wrong}; allowed: {ALLOWED}; all: {errors}"


def channels_first(x: Any) -> np.ndarray:
    """Features [h, w, C] of one sample as [1, C, h, w]."""
    return np.asarray(x).transpose(2, 0, 1)[None]
