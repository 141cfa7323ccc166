"""The files of lucidrains' trainers: everything in one state dict, settings in .config.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxinv.specs.checks import check_above
from weights_convert.errors import UnsafeFileError
from weights_convert.networks import lightweight, lucidrains
from weights_convert.sources.base import Arrays, Facts, Source, state_dict

AVERAGED = {"GE.": "G.", "SE.": "S."}  # exponential averages, and what they are averages of


def _averaged(tree: Any) -> Arrays:
    """The averaged networks of a file under the names of the trained ones."""
    arrays = state_dict(tree, "GAN") or {}
    return {
        new + name.removeprefix(old): array
        for old, new in AVERAGED.items()
        for name, array in arrays.items()
        if name.startswith(old)
    }


def _finder(marker: str) -> Callable[[Any], Arrays | None]:
    def find(tree: Any) -> Arrays | None:
        arrays = _averaged(tree)
        return arrays if marker in arrays else None

    return find


def _stylegan2(arrays: Arrays, config: Any) -> Facts:
    rate = config.get("lr_mlp") if isinstance(config, dict) else None
    if rate is None:
        raise UnsafeFileError(
            "the factor lr_mlp of its mapping stands in .config.json: put that beside the file"
        )
    try:
        check_above("lr_mlp in .config.json", rate, 0.0)
    except ValueError as error:
        raise UnsafeFileError(str(error)) from error
    return lucidrains.convert(arrays, float(rate))


def _lightweight(arrays: Arrays) -> Facts:
    return lightweight.convert({n.removeprefix("G."): a for n, a in arrays.items()})


SOURCES: tuple[Source, ...] = (
    Source("StyleGAN2, lucidrains", _finder(lucidrains.MARKER), _stylegan2, config=True),
    Source("Lightweight GAN, lucidrains", _finder(f"G.{lightweight.MARKER}"), _lightweight),
)
