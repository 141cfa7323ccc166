"""Files of encoders that are not of the pSp family: what is refused, and what is decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.encoders.loading import load_encoder
from tests.encoder_fixtures.conversion import bare, checkpoint
from weights_convert import convert
from weights_convert.errors import UnsafeFileError
from weights_convert.networks import encoders_of_generators
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.sources import containers, encoder_families

Arrays = dict[str, np.ndarray]
SIDE, WIDTH, ROWS = 16, 4, 6


def drawn(shapes: dict[str, tuple[int, ...]], size: float = 0.1) -> Arrays:
    draws = np.random.default_rng(0)
    return {name: size * draws.standard_normal(s, "f4") for name, s in shapes.items()}


def idinvert(size: float = 0.1) -> Arrays:
    """A small encoder of IDInvert without normalisations: 16 px, 6 rows of 5."""
    shapes = {
        "block0.conv.weight": (WIDTH, 3, 3, 3),
        "block1.conv.weight": (8, WIDTH, 1, 1),
        "block1.conv1.weight": (WIDTH, WIDTH, 3, 3),
        "block1.wscale1.bias": (WIDTH,),
        "block1.conv2.weight": (8, WIDTH, 3, 3),
        "block1.wscale2.bias": (8,),
        "block2.conv1.weight": (8, 8, 3, 3),
        "block2.wscale1.bias": (8,),
        "block2.conv2.weight": (8, 8, 3, 3),
        "block2.wscale2.bias": (8,),
        "block3.fc.weight": (ROWS * 5, 8 * 4 * 4),
    }
    return drawn(shapes, size)


def test_the_sizes_of_an_encoder_are_those_of_its_arrays(tmp_path: Path) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(bare(idinvert()))
    encoder, params = load_encoder(str(convert(path, out=tmp_path / "small.safetensors")))
    spec = encoder.spec
    assert (spec.side, spec.rows, spec.width, spec.base) == (SIDE, ROWS, 5, "zeros")
    assert dict(spec.facts) == {"width": WIDTH, "widest": 8, "normalised": False}
    assert encoder.predict(params, np.zeros((SIDE, SIDE, 3), "f4"))["code"].shape == (ROWS, 5)


def test_layers_whose_weights_are_of_size_1_are_equalised() -> None:
    def kernel(arrays: Arrays, **options: Any) -> np.ndarray:
        found = encoder_families.find(arrays)
        assert found is not None
        converted = encoder_families.convert(found, "small", options)
        return converted.params["params"]["block1.conv1"]["kernel"]

    small, large = idinvert(0.1), idinvert(1.0)
    gain = 2**0.5 / (9 * WIDTH) ** 0.5
    np.testing.assert_allclose(kernel(large), gain * kernel(large, equalised=False), rtol=1e-6)
    np.testing.assert_array_equal(kernel(small), kernel(small, equalised=False))
    np.testing.assert_allclose(kernel(small, equalised=True), gain * kernel(small), rtol=1e-6)


def without(arrays: Arrays, name: str) -> Arrays:
    return {label: array for label, array in arrays.items() if label != name}


def not_finite() -> Arrays:
    return idinvert() | {"block1.wscale1.bias": np.full(WIDTH, np.nan, "f4")}


def composed(channels: int = 4, rows: int = 2, stages: int = 4) -> Arrays:
    """Some arrays of an encoder of latent composition."""
    shapes = {
        f"layer{s}.{unit}.conv1.weight": (4, 4, 3, 3)
        for s in range(1, stages + 1)
        for unit in (0, 1)
    }
    last = {"conv1.weight": (4, channels, 7, 7), "layer5.conv5.weight": (512 * rows, 32, 1, 1)}
    return drawn(shapes | last)


BAD: dict[str, tuple[Callable[[], Arrays], str]] = {
    "an array is missing": (
        lambda: without(idinvert(), "block2.conv2.weight"),
        "missing or of another shape",
    ),
    "a bias is missing": (lambda: without(idinvert(), "block2.wscale2.bias"), "lacks .*conv2/bias"),
    "an array too many": (
        lambda: idinvert() | {"block9.more.weight": np.ones((2, 2), "f4")},
        "no use for .*block9.more",
    ),
    "an array of another shape": (
        lambda: idinvert() | {"block1.wscale1.bias": np.ones(WIDTH + 1, "f4")},
        "conv1/bias",
    ),
    "numbers that are not finite": (not_finite, "not finite"),
    "rows that do not divide the code": (
        lambda: idinvert() | {"block3.fc.weight": np.ones((31, 128), "f4")},
        "31 numbers for 6 rows",
    ),
    "a map that is not square": (
        lambda: idinvert() | {"block3.fc.weight": np.ones((30, 100), "f4")},
        "missing or of another shape",
    ),
    "five channels": (lambda: composed(channels=5), "5 channels; allowed: 3, or 4"),
    "three stages": (lambda: composed(stages=3), r"backbone of \(2, 2, 2, 0\) units"),
    "half a ResNet": (composed, "the file lacks"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_fit_no_encoder_are_refused(tmp_path: Path, case: str) -> None:
    make, told = BAD[case]
    path = tmp_path / "bad.pth"
    path.write_bytes(checkpoint(make()))
    with pytest.raises(UnsafeFileError, match=told):
        convert(path, out=tmp_path / "out.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))


def hypernet(**others: Any) -> Arrays:
    shapes = {
        "conv1.weight": (4, 6, 7, 7),
        "body.0.conv1.weight": (4, 4, 3, 3),
        "shared_weight_hypernet.w1": (4, 36),
        "shared_weight_hypernet.w2": (4, 16),
    }
    arrays = drawn(shapes) | others
    return {f"hypernet.{name}": array for name, array in arrays.items()}


def test_hyperstyle_needs_the_encoder_before_it(tmp_path: Path) -> None:
    path = tmp_path / "hyperstyle.pt"
    path.write_bytes(checkpoint(hypernet()))
    with pytest.raises(ValueError, match="with --before"):
        convert(path, out=tmp_path / "out.safetensors")
    other = tmp_path / "other.pt"
    other.write_bytes(bare(idinvert()))
    with pytest.raises(UnsafeFileError, match="no encoder of the pSp family before it"):
        convert(path, out=tmp_path / "out.safetensors", before=other)


def test_repeated_layers_must_be_the_shared_ones() -> None:
    own = {name.removeprefix("hypernet."): array for name, array in hypernet().items()}
    shared = own["shared_weight_hypernet.w1"]
    alias = {"refinement_blocks.3.hypernet.w1": shared}
    assert encoders_of_generators.without_repeats(own | alias).keys() == own.keys()
    with pytest.raises(UnsafeFileError, match="not what the blocks share"):
        encoders_of_generators.without_repeats(
            own | {"refinement_blocks.3.hypernet.w1": shared + 1}
        )


@pytest.mark.parametrize("option", ["side", "fused", "before", "discriminator"])
def test_options_of_other_files_are_refused(tmp_path: Path, option: str) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(bare(idinvert()))
    given: dict[str, Any] = {option: str(path) if option in ("before", "discriminator") else 64}
    with pytest.raises(ValueError, match=f"option '{option}' with a file of IDInvert"):
        convert(path, out=tmp_path / "out.safetensors", **given)


def test_an_array_of_many_names_is_read_once_and_not_for_ever() -> None:
    array = np.ones((256, 256), "f4")
    tree = containers.parse(checkpoint({f"block{i}": array for i in range(8)})).tree["state_dict"]
    assert all(np.shares_memory(tree["block0"], one) for one in tree.values())
    with pytest.raises(UnsafeFileError, match="expands to more"):
        containers.parse(checkpoint({f"block{i}": array for i in range(200)}))


def test_parameters_do_not_outgrow_the_file() -> None:
    array = np.ones((2048, 2048), "f4")
    names = [f"layer{i}" for i in range(40)]
    rules = (Rule(name, (name,), lambda x: x + 1, array.shape) for name in names)
    with pytest.raises(UnsafeFileError, match="the same arrays too often"):
        apply_rules(rules, dict.fromkeys(names, array))
