"""Presets: data only, one file per family of papers."""

from jaxinv.presets.everyday import DEFAULT, FINE, QUICK, Z
from jaxinv.presets.projector import IMAGE2STYLEGAN, STYLEGAN2_PROJECTOR

PRESETS = {
    "quick": QUICK,
    "default": DEFAULT,
    "fine": FINE,
    "z": Z,
    "stylegan2-projector": STYLEGAN2_PROJECTOR,
    "image2stylegan": IMAGE2STYLEGAN,
}
