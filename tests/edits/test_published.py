"""Directions of other tools, kept directions, and directions written for others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxinv.edits.directions import Direction, fit_direction
from jaxinv.edits.kept import directions_folder, keep_direction, kept_direction, kept_names
from jaxinv.edits.published import (
    channel_direction,
    published_array,
    published_directions,
    style_deviations,
)
from jaxinv.io.latent_files import read_numpy
from jaxinv.models.loading import generator_hash
from tests import tiny
from tests.weights import SHARED
from weights_convert.sources.containers import read_checkpoint

DRAWS = np.random.default_rng(2)
GEN, PARAMS = tiny.style()


def draw(*shape: int) -> np.ndarray:
    return DRAWS.standard_normal(shape)


@pytest.mark.parametrize(
    ("path", "name", "space", "owner"),
    [
        ("stylegan_ffhq_age_boundary.npy", "age", "z", "stylegan_ffhq"),
        ("stylegan_celebahq_smile_w_boundary.npy", "smile", "w", "stylegan_celebahq"),
        ("pggan_celebahq_age_c_gender_boundary.npy", "age_c_gender", "z", "pggan_celebahq"),
        ("some_stylegan2_cars_pose_w_boundary.npy", "pose", "w", "stylegan2_cars"),
        ("age.pt", "age", "w", ""),
        ("my_boundary.npy", "my_boundary", "w", ""),
    ],
)
def test_names_of_files_tell_space_and_generator(
    path: str, name: str, space: str, owner: str
) -> None:
    (found,) = published_directions(draw(1, 8), path)
    assert (found.name, found.space, found.generator_name) == (name, space, owner)
    assert (found.generator, found.source) == ("", path)
    (chosen,) = published_directions(draw(8), path, space="p")
    assert chosen.space == "p"


def test_components_are_scaled_by_their_deviations() -> None:
    components, sizes = draw(5, 1, 8), np.arange(1.0, 6.0)
    for keys in (("comp", "std"), ("lat_comp", "lat_stdev")):
        tree = {keys[0]: components, keys[1]: sizes, "mean": draw(1, 8), "act_comp": draw(5, 3)}
        found = published_directions(tree, "ffhq_pca.pt")
        assert [one.name for one in found] == [f"ffhq_pca#{i}" for i in range(5)]
        np.testing.assert_allclose(found[3].vector, 4 * components[3, 0], rtol=1e-6)
        assert found[3].unit == "a standard deviation of the component"
    (alone,) = published_directions({"comp": components[:1]}, "one.pt")
    np.testing.assert_allclose(alone.vector, components[0, 0], rtol=1e-6)


def test_rows_and_lists_of_layers() -> None:
    (rows,) = published_directions(draw(1, 18, 8), "pose.pt")
    assert (rows.space, rows.vector.shape) == ("w+", (18, 8))
    several = published_directions(draw(3, 18, 8), "poses.npy")
    assert [one.name for one in several] == ["poses#0", "poses#1", "poses#2"]
    layers = [draw(1, width) for width in GEN.spec.styles]
    (styles,) = published_directions(layers, "afro.pt")
    assert styles.space == "s"
    fit_direction(styles, GEN, PARAMS)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (draw(2, 3, 4, 5), r"shape \[2, 3, 4, 5\]"),
        (np.zeros((0, 8)), r"shape \[0, 8\]"),
        (np.full((1, 8), np.nan), "must be finite"),
        (np.zeros((1, 8)), "all zero"),
        (np.array(["x"]), "must be numbers"),
        ({"a": draw(8), "b": draw(8)}, "a dict with a, b"),
        ({}, "a dict with nothing"),
        ({"comp": draw(3, 1, 8), "std": draw(2)}, "2 deviations; allowed: 3"),
        ("text", "must be numbers"),
        (None, "must be numbers"),
    ],
)
def test_what_is_no_direction_is_refused(tree, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        published_directions(tree, "age.pt")


@pytest.mark.parametrize(
    ("name", "space", "count"),
    [
        ("e4e_age.pt", "w", 1),
        ("e4e_pose.pt", "w+", 1),
        ("e4e_ffhq_pca.pt", "w", 80),
        ("interfacegan_stylegan_ffhq_age_w_boundary.npy", "w", 1),
        ("interfacegan_pggan_celebahq_quality_boundary.npy", "z", 1),
    ],
)
def test_published_files(name: str, space: str, count: int) -> None:
    file = SHARED / "data" / "directions" / name
    if not file.is_file():
        pytest.skip(f"needs {file.name} in data/directions of JAXINV_SHARED")
    tree = read_numpy(file) if file.suffix == ".npy" else read_checkpoint(file).tree
    found = published_directions(tree, name)
    assert len(found) == count
    assert {one.space for one in found} == {space}
    assert found[0].vector.shape == ((18, 512) if space == "w+" else (512,))
    if count == 1 and space != "w+":
        assert np.linalg.norm(found[0].vector) == pytest.approx(1, abs=1e-4)


def test_channels_move_by_their_deviations() -> None:
    steps = style_deviations(GEN, PARAMS)
    found = channel_direction(GEN, PARAMS, [(3, 5, 2.0), (0, 1, -1.0)])
    assert found.generator == generator_hash(PARAMS)
    moved = [(i, int(c)) for i, layer in enumerate(found.vector) for c in np.flatnonzero(layer)]
    assert moved == [(0, 1), (3, 5)]
    assert found.vector[3][5] == pytest.approx(2 * steps[3][5])
    assert found.vector[0][1] == pytest.approx(-steps[0][1])
    for channel, said in (
        ((8, 0, 1.0), "layer 8 of S; allowed: 0 to 7"),
        ((3, 12, 1.0), "0 to 11"),
    ):
        with pytest.raises(ValueError, match=said):
            channel_direction(GEN, PARAMS, [channel])


def test_files_of_single_channels() -> None:
    tree = {"layer": np.array([3, 0]), "channel": np.array([5, 1]), "value": np.array([2.0, -1.0])}
    (found,) = published_directions(tree, "smile.npz", styles=GEN.spec.styles)
    fitted = fit_direction(found, GEN, PARAMS)
    moved = {
        (i, int(c)): layer[c] for i, layer in enumerate(fitted.vector) for c in layer.nonzero()[0]
    }
    assert moved == {(0, 1): -1.0, (3, 5): 2.0}
    for change, said in (
        ({"layer": np.array([9, 0])}, "layer 9 of S; allowed: 0 to 7"),
        ({"channel": np.array([5, 16])}, "channel 16 of layer 0; allowed: 0 to 15"),
        ({"value": np.ones(3)}, "differ in length"),
    ):
        with pytest.raises(ValueError, match=said):
            published_directions(tree | change, "smile.npz", styles=GEN.spec.styles)


def test_written_directions_are_read_again() -> None:
    spec = replace(GEN.spec, layout18=(0, 1, 1, 2, 3, 3))
    gen = GEN._replace(spec=spec)
    w = Direction("age", "w", draw(8))
    array = published_array(w, spec)
    assert (array.shape, array.dtype) == ((1, 8), np.dtype("float64"))
    (again,) = published_directions(array, "age.npy")
    np.testing.assert_allclose(again.vector, w.vector / np.linalg.norm(w.vector), rtol=1e-5)
    rows = Direction("age", "w+", np.ones((6, 8)) * np.array([1, 2, 2, 3, 4, 4])[:, None])
    laid_out = published_array(rows, spec)
    assert laid_out.shape == (1, 18, 8)
    (again,) = published_directions(laid_out, "age.npy")
    back = fit_direction(again, gen, PARAMS)
    np.testing.assert_allclose(back.vector, rows.vector / np.sqrt(8) / 4, rtol=1e-5)
    some = published_array(replace(w, rows=(0,)), spec)
    assert some[0, 0].any()
    assert not some[0, 1:].any()
    with pytest.raises(ValueError, match="direction in 's'"):
        published_array(channel_direction(GEN, PARAMS, [(0, 0, 1.0)]), spec)


def test_kept_directions_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="no direction is kept for generator 'ffhq'"):
        kept_direction("ffhq", "age")
    for name in ("age", "smile"):
        keep_direction(Direction(name, "w", draw(8), generator_name="ffhq"))
    keep_direction(Direction("tail", "w", draw(8), generator_name="/weights/cats.safetensors"))
    assert kept_names("ffhq") == ["age", "smile"]
    assert kept_names("cats") == ["tail"]
    assert kept_direction("ffhq", "smile").name == "smile"
    assert directions_folder("ffhq").parent.parent == tmp_path
    with pytest.raises(ValueError, match="'smlie'; allowed: age, smile; nearest: smile"):
        kept_direction("ffhq", "smlie")
    for name in ("", "../age", "a/b", ".hidden", "a\nb"):
        with pytest.raises(ValueError, match="allowed: a bare name"):
            keep_direction(Direction(name, "w", draw(8), generator_name="ffhq"))
    with pytest.raises(ValueError, match="generator ''"):
        keep_direction(Direction("age", "w", draw(8)))
