"""Files of clouds, ours and others', and what hostile ones get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxinv.io.files import BadFile
from jaxinv.io.point_clouds import encode_ply, picture_of, read_cloud

CLOUD = np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def header(form: str, count: int, *properties: str) -> bytes:
    lines = ["ply", f"format {form} 1.0", "comment by hand", f"element vertex {count}"]
    return "\n".join([*lines, *properties, "end_header", ""]).encode()


XYZ = tuple(f"property float {n}" for n in "xyz")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_cloud(written(tmp_path, "a.ply", encode_ply(CLOUD))), CLOUD)


def test_other_kinds_of_ply_are_read(tmp_path: Path) -> None:
    rows = np.concatenate([CLOUD[:, [2]], CLOUD[:, [0]], 7 * CLOUD[:, [1]], CLOUD[:, [1]]], 1)
    order = [f"property double {n}" for n in ("z", "x", "quality", "y")]
    text = "\n".join(" ".join(f"{v:.9g}" for v in row) for row in rows).encode()
    plain = written(tmp_path, "b.ply", header("ascii", 20, *order) + text + b"\n3 0 1 2\n")
    np.testing.assert_allclose(read_cloud(plain), CLOUD, rtol=1e-6)
    data = header("binary_big_endian", 20, *order, "element face 1", "property list uchar int i")
    big = written(tmp_path, "c.ply", data + rows.astype(">f8").tobytes() + b"\0" * 13)
    np.testing.assert_array_equal(read_cloud(big), CLOUD)


def test_lines_and_arrays_are_read(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "d.xyz", np.concatenate([CLOUD, CLOUD], 1), header="x y z and normals")
    np.testing.assert_allclose(read_cloud(tmp_path / "d.xyz"), CLOUD, rtol=1e-6)
    np.save(tmp_path / "e.npy", CLOUD)
    np.savez(tmp_path / "f.npz", cloud=CLOUD)
    for name in ("e.npy", "f.npz"):
        np.testing.assert_array_equal(read_cloud(tmp_path / name), CLOUD)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.obj", b"v 0 0 0", "allowed: .ply"),
        ("a.ply", b"plx", "no PLY"),
        ("b.ply", header("ascii", 3, *XYZ) + b"0 0 0\n1 1 1\n", "2 lines of vertices"),
        ("c.ply", header("binary_little_endian", 10**8, *XYZ) + b"0", "100000000 vertices"),
        ("d.ply", header("binary_little_endian", 10**30, *XYZ) + b"0", "1000000000"),
        (
            "e.ply",
            header("binary_little_endian", 3, *XYZ) + b"0" * 35,
            "35 bytes; 3 vertices need 36",
        ),
        ("f.ply", header("ascii", 3, "property list uchar int x"), "lists"),
        ("g.ply", header("zip", 3, *XYZ), "unknown format"),
        ("h.ply", header("ascii", 1, *XYZ[:2]), "allowed: x, y and z"),
        ("i.ply", header("ascii", 1, *XYZ, XYZ[0]), "allowed: x, y and z"),
        ("j.xyz", b"1 2 3\n4 5\n", "unequal length"),
        ("k.xyz", b"1 2 x\n", "no numbers"),
        ("l.xyz", b"# nothing\n", "allowed"),
        ("m.xyz", b"1 2 nan\n", "not finite"),
        ("n.txt", b"1 2\n3 4\n", "allowed"),
    ],
)
def test_what_is_no_cloud_is_refused(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        read_cloud(written(tmp_path, name, data))


def test_several_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=CLOUD, b=CLOUD)
    with pytest.raises(BadFile, match="2 arrays"):
        read_cloud(tmp_path / "a.npz")


def test_points_show_where_they_are() -> None:
    background = picture_of(np.zeros((1, 3)))[0, 0]
    left = picture_of(np.array([[-1.0, 0, 0]]), 64, yaw=0.0)
    up = picture_of(np.array([[0.0, 1, 0]]), 64, yaw=0.0)
    (_, column), (row, _) = (np.argwhere((one != background).any(-1)).mean(0) for one in (left, up))
    assert column < 20
    assert row < 20
