"""Arrays of pixels, without files: number formats, area reduction, square crops, grids.

Pictures are [h, w, c], float32 in [-1, 1] or uint8. Quads are four corners in pixel edges, so that
the whole of a w x h picture is (0, 0), (0, h), (w, h), (w, 0): top-left, bottom-left, bottom-right,
top-right.
"""

from __future__ import annotations

import itertools

import numpy as np

from jaxinv.specs.checks import warn


class PixelRangeWarning(UserWarning):
    """Pixels that look as if they were in other units than [-1, 1]."""


class CropError(ValueError):
    """A quad that cannot be cut out of this picture."""


def to_uint8(x: np.ndarray) -> np.ndarray:
    """Round [-1, 1] floats of any shape to uint8; uint8 passes. Raises ValueError on NaN."""
    x = np.asarray(x)
    if x.dtype == np.uint8:
        return x
    if np.isnan(x).any():
        raise ValueError("pixels must not be NaN")
    scaled = x.astype(np.float32)
    scaled += 1  # in place: it may be large
    scaled *= np.float32(127.5)
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)


PIXELS = " in [-1, 1]"
UNITS = "of 0 to 255: images / 127.5 - 1; of 0 to 1: images * 2 - 1"
OVERSHOOT = 1.5  # a generator's own pictures may leave [-1, 1] by so much
CENTRED = 50.0, 256.0  # bytes whose mean was taken off reach this far to both sides, not farther


def check_pixel_range(what: str, pixels: np.ndarray) -> None:
    """Raise `ValueError` for float pixels [B, ...] in other units than [-1, 1], such as 0 to 255.

    Pixels from 0 to 1 are a warning: a picture may have no dark place. Networks that were never
    trained draw pixels of any size to both sides: unless they look like bytes, these are taken.
    """
    least, most = CENTRED
    for number, image in enumerate(pixels):
        low, high = float(np.min(image, initial=0.0)), float(np.max(image, initial=0.0))
        positive = bool(image.size) and float(np.min(image)) >= 0
        bytes_ = least < min(-low, high) and max(-low, high) <= most
        if bytes_ or (positive and high > OVERSHOOT):
            raise ValueError(
                f"{what} reach from {np.min(image):g} to {high:g} (number {number}); "
                f"allowed: pixels{PIXELS} ({UNITS})"
            )
        if positive and np.ptp(image) > 0:
            warn(
                f"{what} reach from {np.min(image):g} to {high:g} (number {number}), without "
                f"anything darker than mid-grey: pixels are meant{PIXELS} ({UNITS})",
                PixelRangeWarning,
            )
            return


def from_uint8(u: np.ndarray) -> np.ndarray:
    """Scale uint8 of any shape to float32 in [-1, 1]; `to_uint8` gives the same bytes back."""
    u = np.asarray(u)
    if u.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8, got {u.dtype}")
    scaled = np.array(u, np.float32)
    scaled /= np.float32(127.5)  # in place: it may be large
    scaled -= np.float32(1)
    return scaled


def as_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels as float32 in [-1, 1], whether they are uint8 or float already (then no copy)."""
    return from_uint8(pixels) if pixels.dtype == np.uint8 else np.asarray(pixels, np.float32)


def shrink(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Exact area averages: [h, w, c] -> float32 [height, width, c], no larger than before."""
    if pixels.shape[:2] == (height, width):
        return np.array(pixels, np.float32, order="C")
    rows = _average_rows(pixels, height)
    return np.ascontiguousarray(_average_rows(rows.swapaxes(0, 1), width).swapaxes(0, 1))


def shrink_float(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The same of float pixels in [-1, 1] or uint8, in [-1, 1]."""
    small = shrink(pixels, height, width)  # before the scaling: a large photo stays in bytes
    if pixels.dtype == np.uint8:
        small /= np.float32(127.5)
        small -= 1
    return small


def nearest(square: np.ndarray, side: int) -> np.ndarray:
    """[n, n, ...] at `side` px, larger or smaller: what lies in the middle of every new pixel."""
    places = ((np.arange(side) + 0.5) * len(square) / side).astype(int)
    return square[places][:, places]


def noise_level(pixels: np.ndarray) -> float:
    """Standard deviation of noise in float pixels [h, w, c], as if it were white.

    The median absolute value of the diagonal Haar coefficients over 0.6745 (Donoho & Johnstone
    1994, Ideal spatial adaptation by wavelet shrinkage, section 4.2): pictures have few of them.
    The larger of the two finest scales, since enlarging smooths noise away from the first.
    """
    halves = shrink(pixels, *(side // 2 for side in pixels.shape[:2]))
    return max(_diagonal(pixels), 2 * _diagonal(halves))


def colour_beside_tint(pixels: np.ndarray) -> float:
    """How much colour square float pixels [n, n, 3] have beside one tint, on [-1, 1].

    The colour differences Cb and Cr (JFIF 1.02) of the picture at 32 px are fitted by lines in the
    lightness, between knots an eighth apart, and a parabola over the picture: toned, scanned and
    yellowed prints are like that. The 95th percentile of what is left over; photographs in colour
    have 0.06 and more, grey ones less, be they toned, stained, noisy or coded as JPEG.
    """
    side = min(len(pixels), 32)
    small = shrink(pixels, side, side).reshape(-1, 3).astype(np.float64)
    light = small @ (0.299, 0.587, 0.114)
    chroma = np.stack([(small[:, 2] - light) / 1.772, (small[:, 0] - light) / 1.402], axis=-1)
    rows, columns = (np.mgrid[:side, :side].reshape(2, -1) + 0.5) / side * 2 - 1
    knots = [np.maximum(light - knot, 0) for knot in np.linspace(-1, 1, 9)[1:-1]]
    places = [rows, columns, rows**2, rows * columns, columns**2, light * rows, light * columns]
    smooth = np.stack([np.ones_like(light), light, *knots, *places], axis=-1)
    left = chroma - smooth @ np.linalg.lstsq(smooth, chroma, rcond=None)[0]
    return float(np.quantile(np.linalg.norm(left, axis=-1), 0.95))


def _diagonal(pixels: np.ndarray) -> float:
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    a, b = pixels[0:height:2, 0:width:2], pixels[0:height:2, 1:width:2]
    c, d = pixels[1:height:2, 0:width:2], pixels[1:height:2, 1:width:2]
    return float(np.median(np.abs(a - b - c + d)) / 2 / 0.6745)


def quad_side(quad: np.ndarray) -> float:
    """Mean side of a quad [4, 2] in source pixels."""
    return float(np.mean(np.linalg.norm(quad - np.roll(quad, 1, axis=0), axis=1)))


def crop(pixels: np.ndarray, quad: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Cut the quad [4, 2] out of [h, w, c] as float32 [size, size, c], without aliasing.

    Takes float pixels in [-1, 1] or uint8. Where the quad leaves the image, the picture is mirrored
    there, blurred and faded to its median colour, as in FFHQ (no pixel inside it is touched). The
    mask, float32 [size, size], is the part of each output pixel that the image covers; None: all 1.

    Raises:
        CropError: the quad does not meet the image, or is far larger than it.
    """
    part, moved = _around(pixels, np.asarray(quad, np.float64))
    reduction = max(1, int(quad_side(moved) / size))
    height, width = (max(1, round(n / reduction)) for n in part.shape[:2])
    moved = moved * (width / part.shape[1], height / part.shape[0])
    padded, inside, moved = _mirrored(shrink(part, height, width), moved)
    both = np.concatenate([padded, inside[..., None]], axis=-1)
    out = _warp(both, moved, size, oversample=max(1, int(np.ceil(quad_side(moved) / size))))
    mask = np.clip(out[..., -1], 0.0, 1.0)
    return np.ascontiguousarray(out[..., :-1]), None if mask.min() > 0.999 else mask


def box_quad(left: float, top: float, width: float, height: float) -> np.ndarray:
    """The upright rectangle as a quad, float64 [4, 2]."""
    right, bottom = left + width, top + height
    return np.array([[left, top], [left, bottom], [right, bottom], [right, top]], np.float64)


def turned_box(width: float, height: float, degrees: float) -> tuple[np.ndarray, tuple[int, int]]:
    """The box that holds a width x height picture turned by `degrees` clockwise, as a quad [4, 2].

    The quad is in the picture's pixels, about its middle; the second value is the size (width,
    height) of the box in whole pixels.
    """
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    wide = int(np.ceil(width * abs(cos) + height * abs(sin) - 1e-6))
    high = int(np.ceil(width * abs(sin) + height * abs(cos) - 1e-6))
    corners = box_quad(-wide / 2, -high / 2, wide, high)
    return corners @ np.array([[cos, -sin], [sin, cos]]) + (width / 2, height / 2), (wide, high)


def fit_square(
    pixels: np.ndarray, mask: np.ndarray | None, fit: str, background: float
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Make [h, w, 3] and its mask [h, w] square; returns both and the quad they now show.

    `fit` is "crop" (the centre), "stretch" (the long side shrinks) or "pad" (`background`, 0
    black .. 1 white, with mask 0).
    """
    height, width = pixels.shape[:2]
    if fit == "stretch":
        n = min(height, width)
        weights = None if mask is None else shrink(mask[..., None], n, n)[..., 0]
        return shrink(as_float(pixels), n, n), weights, box_quad(0, 0, width, height)
    n = max(height, width) if fit == "pad" else min(height, width)
    left, top = (width - n) // 2, (height - n) // 2
    if fit == "pad":
        inside = slice(-top, height - top), slice(-left, width - left)
        square = np.full((n, n, 3), 2 * background - 1, np.float32)
        weights = np.zeros((n, n), np.float32)
        for rows in np.array_split(np.arange(height), max(1, height // 256)):
            place = slice(rows[0] - top, rows[-1] + 1 - top), inside[1]
            square[place] = as_float(pixels[rows[0] : rows[-1] + 1])  # in strips: it may be large
        weights[inside] = 1.0 if mask is None else mask
        return square, weights, box_quad(left, top, n, n)
    cut = slice(top, top + n), slice(left, left + n)
    return pixels[cut], None if mask is None else mask[cut], box_quad(left, top, n, n)


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay [B, H, W, C] images out row by row as [rows * H, columns * W, C]; gaps are white."""
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or columns < 1:
        raise ValueError(f"need [B, H, W, C] and columns >= 1, got {list(images.shape)}, {columns}")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    white = 255 if images.dtype == np.uint8 else 1
    cells = np.full((rows * columns, height, width, channels), white, images.dtype)
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return cells.reshape(rows * height, columns * width, channels)


def _average_rows(x: np.ndarray, count: int) -> np.ndarray:
    """Average [n, ...] over `count` equal stretches of rows, rows cut by an edge in proportion."""
    n = x.shape[0]
    if not 1 <= count <= n:
        raise ValueError(f"shrink to {count} rows: must lie in 1..{n}")
    if count == n:
        return x.astype(np.float32)
    out = np.empty((count, *x.shape[1:]), np.float32)
    edges = np.arange(count + 1) * (n / count)
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        rows = np.arange(int(low), min(n, int(np.ceil(high - 1e-9))))
        weight = np.minimum(rows + 1, high) - np.maximum(rows, low)
        part = x[rows[0] : rows[-1] + 1].astype(np.float32)
        out[i] = np.tensordot((weight / weight.sum()).astype(np.float32), part, 1)
    return out


def _around(pixels: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image about the quad as float in [-1, 1], and the quad within that part."""
    height, width = pixels.shape[:2]
    low, high = quad.min(0), quad.max(0)
    if not (np.isfinite(quad).all() and (high > 0).all() and (low < (width, height)).all()):
        raise CropError(f"its face frame lies outside the image of {width}x{height} px")
    if quad_side(quad) > 4 * max(height, width):
        raise CropError(f"its face frame is over 4 times the image of {width}x{height} px")
    x0, y0 = np.maximum(np.floor(low) - 2, 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high) + 2, (width, height)).astype(int)
    return as_float(pixels[y0:y1, x0:x1]), quad - np.array([x0, y0])


def _mirrored(image: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Extend the image to hold the quad; returns it, 1 inside the old image, and the moved quad."""
    height, width = image.shape[:2]
    left, top = np.maximum(np.ceil(-quad.min(0)), 0).astype(int)
    right, bottom = np.maximum(np.ceil(quad.max(0) - (width, height)), 0).astype(int)
    if not max(left, top, right, bottom):
        return image, np.ones((height, width), np.float32), quad
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="reflect")
    reach = max(0.3 * quad_side(quad), left, top, right, bottom)
    away = np.maximum(_outside(height, top, bottom)[:, None], _outside(width, left, right)) / reach
    blur = _blurred(padded, max(1, round(0.04 * quad_side(quad))))
    out = padded + (blur - padded) * np.clip(3 * away, 0, 1)[..., None]
    out += (np.median(image, axis=(0, 1)) - out) * np.clip(away, 0, 1)[..., None]
    return out.astype(np.float32), (away == 0).astype(np.float32), quad + np.array([left, top])


def _outside(length: int, before: int, after: int) -> np.ndarray:
    """Distance of each padded index from the old range, 0 inside."""
    index = np.arange(-before, length + after)
    return np.maximum(np.maximum(-index, index - length + 1), 0)


def _blurred(image: np.ndarray, width: int) -> np.ndarray:
    """Two box blurs of `width` pixels along both axes (close to a Gaussian of 0.4 widths)."""
    for axis in (0, 1, 0, 1):
        x = image.swapaxes(0, axis)
        before = width // 2
        spread = np.pad(x, ((before + 1, width - 1 - before), (0, 0), (0, 0)), mode="edge")
        total = np.cumsum(spread, axis=0, dtype=np.float64)
        image = ((total[width:] - total[:-width]) / width).astype(np.float32).swapaxes(0, axis)
    return image


def _warp(image: np.ndarray, quad: np.ndarray, size: int, *, oversample: int) -> np.ndarray:
    """Sample [h, w, c] over the quad: bilinear at oversample x oversample points per pixel."""
    n = size * oversample
    u = (np.arange(n) + 0.5) / n
    strips = np.array_split(np.arange(size), max(1, n * n // 2**18))
    out = np.empty((size, size, image.shape[-1]), np.float32)
    for rows in strips:
        v = (np.arange(rows[0] * oversample, (rows[-1] + 1) * oversample) + 0.5)[:, None, None] / n
        left = quad[0] + v * (quad[1] - quad[0])
        right = quad[3] + v * (quad[2] - quad[3])
        points = left + u[None, :, None] * (right - left)
        fine = _bilinear(image, points - 0.5)
        fine = fine.reshape(len(rows), oversample, size, oversample, -1)
        out[rows[0] : rows[-1] + 1] = fine.mean((1, 3))
    return out


def _bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of [h, w, c] at points [..., 2] (x, y in pixel centres), edge pixels repeated."""
    limit = np.array([image.shape[1] - 1, image.shape[0] - 1])
    points = np.clip(points, 0, limit)
    low = points.astype(int)
    fx, fy = np.moveaxis((points - low).astype(np.float32), -1, 0)[..., None]
    x0, y0 = np.moveaxis(low, -1, 0)
    x1, y1 = np.moveaxis(np.minimum(low + 1, limit), -1, 0)
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    return top * (1 - fy) + (image[y1, x0] * (1 - fx) + image[y1, x1] * fx) * fy
