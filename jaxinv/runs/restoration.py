"""Restoration: every verb is a request to the run that inverts folders of photographs.

A function takes what all verbs take as a `Request` and adds what the pictures have gone through;
`runs.runner.run` carries the request out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.io.files import nearest
from jaxinv.runs.observations import ESTIMATE_PER_IMAGE
from jaxinv.specs import read_operator
from jaxinv.specs.checks import check_above, check_whole

if TYPE_CHECKING:
    from jaxinv.runs.request import Request

AUTO, NONE = "auto", "none"
# Verbs whose pictures show a face well enough for its landmarks to be found, and at their own size.
ALIGNED = ("inpaint", "colorize", "denoise")


def usual_align(verb: str, *, simulate: bool) -> str:
    """Whether faces are cut out if nobody says: always of clean pictures, of others by the verb."""
    return AUTO if simulate or verb in ALIGNED else NONE


def inpaint(request: Request, mask: str) -> Request:
    """Fill in what is white in `mask`: a file for all pictures, or a folder with one for each.

    Raises `ValueError` if it does not exist.
    """
    if not Path(mask).exists():
        raise ValueError(
            f"no mask {mask!r}; allowed: an image file, or a folder of them{nearest(Path(mask))}"
        )
    return replace(request, verb="inpaint", mask=mask)


def super_resolve(request: Request, factor: int, kernel: str = "bicubic") -> Request:
    """Find pictures that are `factor` times as large and give these when reduced.

    Posed as in Menon et al. 2020, PULSE, equation 1. Raises `ValueError` for a factor below 2.
    """
    check_whole("factor", factor, 2)
    return degraded(request, "super-resolve", f"down:factor={factor},kernel={kernel}")


def colorize(request: Request) -> Request:
    """Find pictures in colour that are these in grey."""
    return degraded(request, "colorize", "gray")


def denoise(request: Request, sigma: float | None = None) -> Request:
    """Find pictures without Gaussian noise of standard deviation `sigma` on [-1, 1].

    The search ends where the picture differs by that much. Without a sigma, each picture's own is
    estimated (see `image_ops.noise_level`). Raises `ValueError` for a simulation without one.
    """
    if sigma is None:
        if request.simulate:
            raise ValueError("--simulate of denoise needs --sigma, got none")
        return replace(degraded(request, "denoise", "identity"), discrepancy=ESTIMATE_PER_IMAGE)
    check_above("sigma", sigma, 0.0)
    return replace(degraded(request, "denoise", f"noise:sigma={sigma}"), discrepancy=sigma)


def deblur(
    request: Request, sigma: float | None = None, motion: int | None = None, angle: float = 0.0
) -> Request:
    """Find sharp pictures of a Gaussian blur of `sigma` px, or of a motion over `motion` px.

    Pixels are those of the picture as it is compared. Raises `ValueError` unless one is given.
    """
    if (sigma is None) == (motion is None):
        raise ValueError(f"blur of sigma {sigma} and motion {motion}; allowed: one of them")
    operator = f"blur:sigma={sigma}" if motion is None else f"motion:length={motion},angle={angle}"
    return degraded(request, "deblur", operator)


def outpaint(request: Request, border: float = 0.25) -> Request:
    """Continue pictures on all four sides by `border`, a share of the side of the result.

    Raises `ValueError` unless it lies between 0 and 0.5.
    """
    if not 0 < border < 0.5:
        raise ValueError(f"border must lie between 0 and 0.5, got {border}")
    return replace(request, verb="outpaint", border=border)


def recover(request: Request, operator: str) -> Request:
    """Find pictures from what `operator` has left of them (see `specs.read_operator`).

    Compressive sensing with a generator: Bora et al. 2017, equation 3.
    """
    return degraded(request, "recover", operator)


def degraded(request: Request, verb: str, operator: str) -> Request:
    """The request of a verb for pictures that an operator has gone over.

    Raises `ValueError` for an operator that there is not.
    """
    read_operator(operator)
    return replace(request, verb=verb, operator=operator)
