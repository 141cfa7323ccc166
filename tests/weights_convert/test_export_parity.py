"""Checkpoints of the original code, converted and written back: the same arrays as before.

Fixtures as in `test_parity.py`; without them the tests skip.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.specs import GeneratorSpec
from tests.weights_convert.test_export import ALLOWED, BOTH, arrays_of, compare, error
from tests.weights_convert.test_parity import CHECKPOINTS, FIXTURES
from weights_convert import convert, export

ONE = ("nvlabs-state-dict",)
# What each can become; where the source is of the target's kind, where its arrays stand.
SUITS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "rosinality-stylegan2": (BOTH, {"rosinality": "g_ema/"}),
    "rosinality-stylegan2-train": (BOTH, {"rosinality": "g_ema/"}),
    "stylegan2-ada-uncond": (ONE, {"nvlabs-state-dict": "G_ema/"}),
    "stylegan2-ada-cond": (ONE, {"nvlabs-state-dict": "G_ema/"}),
    "stylegan2-ada-noclamp-fp32": (BOTH, {"nvlabs-state-dict": "G_ema/"}),
    "stylegan2-in-stylegan3-repo": (ONE, {"nvlabs-state-dict": "G_ema/"}),
    "genforce-stylegan2": (ONE, {}),
    "genforce-stylegan2ada-cond": (ONE, {}),
    "tf-stylegan2": (BOTH, {}),
    "tf-stylegan2-ada-cond": (ONE, {}),
    "stylegan3-t": (ONE, {"nvlabs-state-dict": "G_ema/"}),
    "stylegan3-r": (ONE, {"nvlabs-state-dict": "G_ema/"}),
    "stylegan3-t-cond": (ONE, {"nvlabs-state-dict": "G_ema/"}),
}


def comparable(name: str, array: np.ndarray) -> np.ndarray:
    """A StyleGAN3 divides every output channel by its root mean square; the way back keeps that."""
    if "synthesis.L" not in name or not name.endswith(".weight") or array.ndim != 4:
        return array
    if array.shape[0] == 3:
        return array
    return array / np.sqrt(np.mean(np.square(array), (1, 2, 3), keepdims=True))


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no fixtures in {FIXTURES.name}")
@pytest.mark.parametrize("name", SUITS)
def test_fixtures_come_back_as_they_were(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    targets, own = SUITS[name]
    (checkpoint,) = (path for path in (FIXTURES / name).iterdir() if path.suffix in CHECKPOINTS)
    path = convert(checkpoint, name=name)
    params, notes = checkpoints.load(path)
    params.pop(DISCRIMINATOR, None)  # it stays behind
    clamp = dict(read_spec(notes).facts).get("clamp")
    clamp = None if name.startswith("stylegan3") else clamp
    worst = {}
    for target in BOTH:
        if target not in targets:
            with pytest.raises(ValueError, match=f"{target} cannot express"):
                export(path, target)
            continue
        written = export(path, target, out=tmp_path / f"{target}.pt")
        again, more = checkpoints.load(convert(written, name=name, clamp=clamp, overwrite=True))
        assert read_spec(more) == without_discriminator(read_spec(notes))
        worst[f"{target}, read again"] = compare(again, params)
        if target in own:
            worst[target] = same_arrays(FIXTURES / name / "arrays.npz", own[target], written)
    with capsys.disabled():
        print(f"\n{name}: " + "; ".join(f"{key} {value:.1e}" for key, value in worst.items()))
    assert worst
    assert max(worst.values()) <= ALLOWED


def without_discriminator(spec: GeneratorSpec) -> GeneratorSpec:
    return replace(spec, facts=tuple(fact for fact in spec.facts if fact[0] != DISCRIMINATOR))


def same_arrays(reference: Path, prefix: str, written: Path) -> float:
    """The largest relative error against the original arrays; names and shapes must be theirs."""
    stored = dict(np.load(reference))
    theirs = {name.removeprefix(prefix): a for name, a in stored.items() if name.startswith(prefix)}
    ours, rest = arrays_of(written)
    assert {n: a.shape for n, a in ours.items()} == {n: a.shape for n, a in theirs.items()}
    pairs = [(ours[name], comparable(name, theirs[name])) for name in theirs]
    pairs += [(average, stored[name].ravel()) for name, average in rest.items()]
    return max(error(mine, array) for mine, array in pairs)
