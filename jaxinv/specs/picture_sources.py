"""The pictures that an encoder is trained on, and what is asked for beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxinv.specs.checks import check_at_least, check_choice, check_fields

SYNTHETIC, REAL, EITHER, MIXED = SOURCES = ("synthetic", "real", "either", "mixed")


def check_shares(spec: Any, *names: str) -> None:
    """Raise `ValueError` unless these fields lie between 0 and 1."""
    for name in names:
        value = getattr(spec, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")


@dataclass(frozen=True)
class PictureSource:
    """What an encoder learns from.

    Attributes:
        kind: "synthetic", pictures that the generator draws of random codes, which are then known;
            "real", pictures of files; "either", what the caller says; "mixed", both in every batch.
        drawn: share of a mixed batch that the generator draws.
        flip: whether half of the pictures are mirrored.
        masks: whether parts of them are hidden: blobs (Chai et al. 2021, section 3.2).
        noise: standard deviation of noise on what the encoder sees; the clean picture is compared.
        fresh_noise: whether noise maps are drawn anew for every picture, not those of the file.
        mixing: probability that the rows of a synthetic w+ are of two draws, not of one.
        warp: how far, in half sides, corners of what the encoder sees may be moved inwards, but of
            the plane "edited" (Wang et al. 2022, HFGI, section 3.2).
        warped: share of the pictures for which they are.
        kept: share of the batches in which the attribute asked for is the picture's own; in others
            it is drawn of 0 to 1 (Alaluf et al. 2021, SAM, section 3.3).
        crossed: share of the batches in which the identity asked for is another picture's (Nitzan
            et al. 2020, section 3.3).
        moved: share of the pictures whose code, as the encoder before gives it, is edited.
        move: how far at most, as a share of the way from one random code to another.
        pairs: whether the picture of the edited code is what is compared, and that of the code,
            before the edit, what is seen; of synthetic pictures.
        coded: whether a synthetic picture's own code is given in place of what the encoder before
            would say.
    """

    kind: str = "either"
    flip: bool = False
    masks: bool = False
    noise: float = 0.0
    fresh_noise: bool = False
    mixing: float = 0.0
    warp: float = 0.0
    warped: float = 1.0
    kept: float = 0.0
    drawn: float = 0.5
    crossed: float = 0.0
    moved: float = 0.0
    move: float = 1.0
    pairs: bool = False
    coded: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("source of pictures", self.kind, SOURCES)
        check_at_least("noise", self.noise, 0.0)
        check_at_least("move", self.move, 0.0)
        check_shares(self, "mixing", "warp", "warped", "kept", "drawn", "crossed", "moved")
        if self.pairs and (not self.moved or self.kind != SYNTHETIC):
            raise ValueError(
                f"pairs of {self.kind} pictures, of which {self.moved} are moved; allowed: of "
                f"synthetic ones, with moves"
            )
        if self.coded and self.kind == MIXED:
            raise ValueError("codes are given with mixed pictures; allowed: of other sources")

    def of_batch(self, batch: int) -> int:
        """How many pictures of a mixed batch are drawn: at least one, and one is not.

        Raises `ValueError` for a batch of one.
        """
        if batch < 2:
            raise ValueError(f"a mixed batch of {batch}; allowed: at least 2")
        return min(max(round(self.drawn * batch), 1), batch - 1)


ANY_PICTURES = PictureSource()
