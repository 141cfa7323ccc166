"""What a generator is, as facts of its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxinv.specs.checks import check_choice, check_fields, check_whole
from jaxinv.specs.vocabulary import PRIORS, SPACES

# Least and most of every size, so that no file can ask for memory without end.
BOUNDS = {
    "resolution": (8, 2**14),
    "z_dim": (1, 2**20),
    "w_dim": (0, 2**16),
    "rows": (0, 2**10),
    "styles": (1, 2**16),
    "noise": (1, 2**14),
    "layout18": (0, 2**10),
    "labels": (0, 2**20),
    "embedding": (0, 2**16),
    "camera": (0, 2),
    "conditions": (0, 2**10),
    "points": (0, 2**20),
}
LISTS, MOST_ENTRIES = ("styles", "noise", "layout18"), 2**10


@dataclass(frozen=True)
class GeneratorSpec:
    """Facts of one generator, read from its checkpoint: nothing here is guessed.

    Attributes:
        name: what `-g` knows it by.
        architecture: its family, such as "stylegan2".
        resolution: side of its pictures in px.
        z_dim: length of z.
        w_dim: length of w; 0 without a W space.
        rows: of W+.
        styles: the channels of every modulation, in drawing order.
        noise: the side of every noise map.
        layout18: for each row, that of the 18-row StyleGAN2 layout that published directions use;
            empty when there is none.
        alignment: how photographs must be cut: "none" or "ffhq".
        labels: number of classes.
        embedding: length of the vector that stands for a class, in generators without W.
        camera: number of the angles of a camera, 2 (yaw and pitch) or 0 without one.
        conditions: length of what w comes of beside z, if that is no class.
        points: of a cloud, one a pixel; 0 of those that draw pictures.
        prior: distribution of z: "normal", "uniform" on [-1, 1], or "truncated_normal" on [-2, 2].
        facts: for the architecture alone.
    """

    name: str
    architecture: str
    resolution: int
    z_dim: int
    w_dim: int = 0
    rows: int = 0
    styles: tuple[int, ...] = ()
    noise: tuple[int, ...] = ()
    layout18: tuple[int, ...] = ()
    alignment: str = "none"
    labels: int = 0
    embedding: int = 0
    camera: int = 0
    conditions: int = 0
    points: int = 0
    prior: str = "normal"
    facts: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        for name, (least, most) in BOUNDS.items():
            value: Any = getattr(self, name)
            values: list[Any] = [*value] if name in LISTS else [value]
            if len(values) > MOST_ENTRIES:
                raise ValueError(f"{name} has {len(values)} entries; allowed: up to {MOST_ENTRIES}")
            for one in values:
                check_whole(name, one, least)
                if one > most:
                    raise ValueError(f"{name} must be at most {most}, got {one}")
        check_choice("prior", self.prior, PRIORS)
        if len(self.layout18) not in (0, self.rows):
            raise ValueError(
                f"layout18 has {len(self.layout18)} entries; allowed: 0 or {self.rows} (rows)"
            )

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces that this generator has, of codes, noise and classes."""
        has = {
            "z": True,
            "z+": self.w_dim > 0 and self.rows > 0,
            "w": self.w_dim > 0,
            "w+": self.w_dim > 0 and self.rows > 0,
            "s": bool(self.styles),
            "noise": bool(self.noise),
            "label": self.labels > 0,
            "embedding": self.embedding > 0,
            "camera": self.camera > 0,
        }
        return tuple(name for name in SPACES if has.get(name))
