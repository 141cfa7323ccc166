"""What a generator is, as facts of its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxinv.specs.checks import check_choice, check_fields, check_whole
from jaxinv.specs.vocabulary import PRIORS, SPACES


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
    prior: str = "normal"
    facts: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("resolution", self.resolution, 8)
        check_whole("z_dim", self.z_dim, 1)
        check_whole("labels", self.labels, 0)
        check_whole("embedding", self.embedding, 0)
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
        }
        return tuple(name for name in SPACES if has.get(name))
