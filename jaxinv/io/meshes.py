"""Meshes of depth maps and clouds of points, as files that other programs read."""

from __future__ import annotations

import numpy as np

from jaxinv.specs.checks import check_array


def encode_obj(points: np.ndarray, material: str) -> bytes:
    """A Wavefront OBJ file of a grid of points [h, w, 3], with places in a texture.

    Points have x to the right, y down and z away from the viewer, as pictures do; the file has y up
    and z towards the viewer, and its middle in 0. Two triangles for every cell of the grid are seen
    from the front. `material` names the MTL file, without its ending, and the material in it.
    Raises `ValueError` for other shapes.
    """
    grid = check_array("points", points)
    if grid.ndim != 3 or grid.shape[2] != 3 or min(grid.shape[:2]) < 2:
        raise ValueError(f"points have shape {list(grid.shape)}; allowed: [h, w, 3], h and w >= 2")
    height, width = grid.shape[:2]
    flat = (grid.reshape(-1, 3) - [0, 0, 1]) * [1, -1, -1]
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, 1 - (np.arange(height) + 0.5) / height)
    lines = [f"mtllib {material}.mtl", f"usemtl {material}"]
    lines += [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in flat]
    lines += [f"vt {a:.6g} {b:.6g}" for a, b in zip(u.ravel(), v.ravel(), strict=True)]
    for face in triangles(height, width) + 1:
        lines.append("f " + " ".join(f"{corner}/{corner}" for corner in face))
    return "\n".join([*lines, ""]).encode()


def encode_mtl(material: str, texture: str) -> bytes:
    """The material of an OBJ file, painted with the picture of the name `texture`."""
    return f"newmtl {material}\nKa 1 1 1\nKd 1 1 1\nillum 1\nmap_Kd {texture}\n".encode()


def triangles(height: int, width: int) -> np.ndarray:
    """Corners [n, 3] of two triangles for each cell of a grid, numbered row by row.

    Seen from the front they go round against the clock, where rows lead down.
    """
    first = (np.arange(height - 1)[:, None] * width + np.arange(width - 1)).ravel()
    upper = np.stack([first, first + width, first + 1], axis=1)
    lower = np.stack([first + 1, first + width, first + width + 1], axis=1)
    return np.concatenate([upper, lower])
