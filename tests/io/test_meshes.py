"""Meshes as other programs read them."""

from __future__ import annotations

import numpy as np
import pytest

from jaxinv.io.images import encode_png16
from jaxinv.io.meshes import encode_mtl, encode_obj, triangles


def parsed(data: bytes) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for line in data.decode().splitlines():
        word, *rest = line.split()
        found.setdefault(word, []).append(rest)
    return found


def test_an_obj_file_holds_the_grid_turned_to_the_viewer() -> None:
    x, y = np.meshgrid([-1.0, 0.0, 1.0], [-2.0, 2.0])
    grid = np.stack([x, y, np.full_like(x, 0.9)], -1)
    found = parsed(encode_obj(grid, "face"))
    assert found["mtllib"] == [["face.mtl"]]
    assert found["usemtl"] == [["face"]]
    vertices = np.array(found["v"], float)
    np.testing.assert_allclose(vertices, grid.reshape(-1, 3) * [1, -1, 0] + [0, 0, 0.1], atol=1e-6)
    places = np.array(found["vt"], float)
    np.testing.assert_allclose(
        places[0], [1 / 6, 3 / 4], rtol=1e-5
    )  # upper left; textures have v upwards
    faces = np.array([[int(c.split("/")[0]) for c in face] for face in found["f"]]) - 1
    assert len(faces) == 4
    assert set(faces.ravel()) == set(range(6))
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()  # all of them face the viewer


def test_triangles_cover_every_cell_once() -> None:
    faces = triangles(4, 5)
    assert len(faces) == 2 * 3 * 4
    y, x = np.divmod(faces, 5)
    twice = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    np.testing.assert_array_equal(twice, -1)
    assert len({tuple(sorted(face)) for face in faces.tolist()}) == len(faces)


@pytest.mark.parametrize("shape", [(4, 3), (1, 5, 3), (4, 4, 2)])
def test_points_that_are_no_grid_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"allowed: \[h, w, 3\]"):
        encode_obj(np.zeros(shape), "x")


def test_the_material_names_its_picture() -> None:
    assert b"map_Kd face.png" in encode_mtl("face", "face.png")


def test_sixteen_bits_survive() -> None:
    import io

    from PIL import Image

    values = np.arange(0, 65536, 13, dtype=np.uint16)[:4096].reshape(64, 64)
    with Image.open(io.BytesIO(encode_png16(values))) as picture:
        np.testing.assert_array_equal(np.asarray(picture).astype(np.uint16), values)
    with pytest.raises(ValueError, match="allowed: uint16"):
        encode_png16(np.zeros((4, 4)))
