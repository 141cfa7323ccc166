"""A search that is interrupted and started again ends where another does, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pytest

import jaxinv
from jaxinv.inversion.result import Inversion, Progress
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.specs import Jitter, Preset, SolverSpec, Stage, Stop, Term, Variable
from tests.engine import one, preset, targets
from tests.tiny import linear, style

if TYPE_CHECKING:
    from collections.abc import Callable

MSE = (Term("mse"),)
WEIGHTS = Stage((Variable("weights"),), MSE, 25, SolverSpec("adam", 1e-3))
TOGETHER = replace(WEIGHTS, variables=(Variable("weights", shared=True),))
CASES = {
    "adam": preset(one(Variable("w+"), steps=30)),
    "jitter": preset(one(Variable("w"), jitter=Jitter(), steps=30)),
    "lbfgs": preset(one(Variable("w"), steps=30, solver=SolverSpec("lbfgs"))),
    "cma": preset(one(Variable("w"), steps=40, solver=SolverSpec("cma"))),
    "hmc": preset(one(Variable("w"), steps=30, solver=SolverSpec("hmc", 0.01))),
    "tuned": preset(one(Variable("w"), steps=25), WEIGHTS),
    "shared": preset(one(Variable("w"), steps=15), TOGETHER),
    "stopped": preset(one(Variable("w"), steps=60, stop=Stop("mse", below=1e-2))),
}


class Enough(Exception):
    """Ends a search from its report, as the end of its process would."""


def search(
    method: Preset, kept: SearchCheckpoints | Path | None, report: Any = None, **others: Any
) -> Inversion:
    """The search for two images from two starts each."""
    pair = style() if any("weights" in stage.spaces for stage in method.stages) else linear()
    given = {"restarts": 2, "nets": {}, "report": report, "checkpoints": kept, **others}
    return jaxinv.invert(*pair, targets(2), preset=method, **given)


def ends_after(most: int) -> Callable[[Progress], None]:
    """A report that ends the search after so many."""
    count = 0

    def report(progress: Progress) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise Enough(progress)

    return report


def same(ours: Inversion, theirs: Inversion) -> None:
    """Latents, losses and curves are equal to the last bit."""
    for name in ("latents", "losses", "loss", "evaluations", "status", "best"):
        jax.tree.map(np.testing.assert_array_equal, getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_search_ends_as_another(name: str, tmp_path: Path) -> None:
    expected = search(CASES[name], None)
    kept, interrupted = SearchCheckpoints(tmp_path, every=0.0), 0
    for most in (1, 0, 2, 1):
        try:
            search(CASES[name], kept, ends_after(most))
        except Enough:
            interrupted += 1
    assert interrupted > 1
    same(search(CASES[name], kept), expected)
    asked: list[Progress] = []
    same(search(CASES[name], kept, asked.append), expected)
    assert not asked, "what is finished is searched for again"


def test_another_search_does_not_go_on_there(tmp_path: Path) -> None:
    kept = SearchCheckpoints(tmp_path, every=0.0)
    search(CASES["adam"], kept)
    for others in ({"seed": 1}, {"steps": 20}, {"restarts": 1}, {"masks": np.ones((2, 16, 16))}):
        asked: list[Progress] = []
        found = search(CASES["adam"], kept, asked.append, **others)
        same(found, search(CASES["adam"], None, **others))
        assert asked


@pytest.mark.parametrize("harm", [b"", b"\0" * 64, None])
def test_a_torn_checkpoint_is_not_trusted(harm: bytes | None, tmp_path: Path) -> None:
    search(CASES["adam"], SearchCheckpoints(tmp_path, every=0.0))
    files = list(tmp_path.rglob("*.safetensors"))
    assert len(files) == 2  # an image each, on one CPU
    for file in files:
        data = bytearray(file.read_bytes())
        if harm is None:
            data[-3] ^= 1  # one bit of the last array
        file.write_bytes(data if harm is None else harm)
    same(search(CASES["adam"], SearchCheckpoints(tmp_path)), search(CASES["adam"], None))


def test_checkpoints_are_written_as_time_passes(tmp_path: Path) -> None:
    def written(**settings: Any) -> int:
        kept = SearchCheckpoints(tmp_path / str(len(settings)), **settings)
        with pytest.raises(Enough):
            search(CASES["adam"], kept, ends_after(1))
        return len(list(kept.folder.rglob("*.safetensors")))

    assert written() == 0
    assert written(every=1e9, urgent=lambda: True) == 1
