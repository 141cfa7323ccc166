"""How faithful an edit is: what changed, what stayed, and whether edits can be exchanged or undone.

Scores are plain numbers of pictures that some net or person gave; everything runs in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxinv.metrics.feature_sets import check_equal_shapes, check_labels, check_rows
from jaxinv.metrics.paths import check_codes, trimmed_mean
from jaxinv.specs.checks import check_array, check_choice, check_whole, told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Edit = Callable[[np.ndarray], np.ndarray]

DISTANCES = ("euclidean", "cosine")


class Accuracy(NamedTuple):
    """The share of right answers, the deviation of that over batches, and what guessing gives."""

    accuracy: float
    deviation: float
    chance: float


class Dependency(NamedTuple):
    """Per picture, in standard deviations: change of the target, and mean change of the others."""

    target: np.ndarray
    others: np.ndarray

    @property
    def ratio(self) -> float:
        """Mean change of the others per change of the target; infinite if that never changed."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.divide(self.others.mean(), self.target.mean()))


def feature_distance(a: np.ndarray, b: np.ndarray, kind: str = "euclidean") -> np.ndarray:
    """Distance [n] of each pair of features [n, d] of any net; it bears that net's name.

    "euclidean", or "cosine": 1 - cos of the angle. With a recognition net it is the identity
    distance (survey, section 3.3). Raises `ValueError` for other shapes or names, and for features
    of length 0 where the angle is asked for.
    """
    check_choice("distance", kind, DISTANCES)
    x, y = check_equal_shapes(a, b, (None,))
    if kind == "euclidean":
        return np.linalg.norm(x - y, axis=1)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    if not lengths.all():
        raise ValueError("features of length 0 have no angle; allowed: others, or 'euclidean'")
    return 1 - np.sum(x * y, axis=1) / lengths


def landmark_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance [n] of landmark sets [n, k, 2], all k points together, in their unit.

    The change of expression where the pose is kept (survey, section 3.3). Raises `ValueError` for
    other shapes and points that are not finite.
    """
    x, y = check_equal_shapes(a, b, (None, 2))
    return np.linalg.norm((x - y).reshape(len(x), -1), axis=1)


def pose_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance [n] of Euler angles [n, 3] in degrees; differences are below 180.

    Raises `ValueError` for other shapes and angles that are not finite.
    """
    x, y = check_equal_shapes(a, b, (3,))
    return np.linalg.norm((x - y + 180) % 360 - 180, axis=1)


def accuracy(scores: np.ndarray, labels: np.ndarray, *, batch: int | None = None) -> Accuracy:
    """How often the class of the highest score [n, classes] is the label [n].

    The deviation is over batches of `batch` rows (None: of single answers). This is the
    classification accuracy of edited pictures, and the Reconstructor Classification Accuracy (RCA)
    where the classes are directions and a reconstructor scores them (Voynov and Babenko 2020,
    section 3.3; 100 batches of 32). Chance is 1 over the number of classes.

    Raises:
        ValueError: other shapes, fewer than two classes, labels that are none of them, fewer rows
            than a batch.
    """
    batch = 1 if batch is None else batch
    check_whole("batch", batch, 1)
    rows = check_rows("scores", scores, batch, why="one batch")
    classes = rows.shape[1]
    if classes < 2:
        raise ValueError(f"scores are {told(rows)}; allowed: at least 2 classes")
    right = rows.argmax(axis=1) == check_labels("labels", labels, classes, (len(rows),))
    parts = right[: len(right) // batch * batch].reshape(-1, batch).mean(axis=1)
    return Accuracy(float(parts.mean()), float(parts.std()), 1 / classes)


def attribute_dependency(
    before: np.ndarray, after: np.ndarray, target: int, deviations: np.ndarray
) -> Dependency:
    """How much an edit of one attribute changes all others (Wu et al. 2021, StyleSpace, section 5).

    Args:
        before: scores [n, attributes] of the pictures, logits in the paper.
        after: scores of the edited pictures, same shape.
        target: the attribute that is edited.
        deviations: standard deviation [attributes] of every attribute over many pictures.

    Raises:
        ValueError: other shapes, a single attribute, deviations that are not positive.
    """
    x, y = check_equal_shapes(before, after, (None,))
    count = x.shape[1]
    spread = check_array("deviations", deviations, "iuf").astype(np.float64)
    if spread.shape != (count,) or spread.min() <= 0:
        raise ValueError(f"deviations are {told(spread)}; allowed: [{count}], all above 0")
    if count < 2:
        raise ValueError(f"before has {count} attribute; allowed: at least 2")
    check_whole("target", target, 0)
    if target >= count:
        raise ValueError(f"target is {target}; allowed: below {count}")
    changes = np.abs(y - x) / spread
    return Dependency(changes[:, target], np.delete(changes, target, axis=1).mean(axis=1))


def drift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Root mean square change [attributes] of scores [n, attributes] that an edit should keep."""
    x, y = check_equal_shapes(before, after, (None,))
    return np.sqrt(np.mean(np.square(y - x), axis=0))


def edit_consistency(
    codes: np.ndarray, edits: Sequence[Edit], attributes: Sequence[Edit]
) -> np.ndarray:
    """Edit Consistency Score [k, k] of every ordered pair of k edits; 0 where they commute.

    Entry [p, e] is the mean over pictures of |A_p(E_p(E_e(x))) - A_p(E_e(E_p(x)))|; the diagonal is
    0. Abdal et al. 2021 (StyleFlow), section 5.2; survey, section 3.3.

    Args:
        codes: [n, ...], what the edits move.
        edits: k functions of codes to codes.
        attributes: k functions of codes to scores [n] of what is drawn of them, as the edits.

    Raises:
        ValueError: fewer than two edits, not as many attributes, scores of another shape.
    """
    if len(edits) < 2 or len(edits) != len(attributes):
        raise ValueError(
            f"{len(edits)} edits and {len(attributes)} attributes; allowed: as many, at least 2"
        )
    found = np.zeros((len(edits), len(edits)))
    once = [edit(codes) for edit in edits]
    for p, e in zip(*np.nonzero(~np.eye(len(edits), dtype=bool)), strict=True):
        first, second = attributes[p](edits[p](once[e])), attributes[p](edits[e](once[p]))
        a, b = check_equal_shapes(first, second, ())
        if len(a) != len(codes):
            raise ValueError(f"{len(a)} scores of {len(codes)} codes; allowed: one for each")
        found[p, e] = np.abs(a - b).mean()
    return found


def latent_editing_consistency(
    codes: np.ndarray, recovered: np.ndarray, *, batch: int | None = None
) -> float:
    """Latent Editing Consistency: mean distance of codes and of what edit, picture, encoder return.

    `codes` [n, ...] are E(x), `recovered` the codes edit^-1(E(G(edit(E(x))))); distances are
    Euclidean over all numbers of a code. Pictures outside the 1st to 99th percentile are left out;
    with `batch` the means of so many consecutive ones are, as the published code does (Tov et al.
    2021, e4e, section 5.3). 0 for an encoder that finds every code.

    Raises:
        ValueError: other shapes, codes that are not finite, fewer pictures than a batch.
    """
    x, y = check_codes(codes, recovered)
    batch = 1 if batch is None else batch
    check_whole("batch", batch, 1)
    apart = np.linalg.norm(x - y, axis=1)
    check_rows("codes", x, batch, why="one batch")
    starts = range(0, len(apart), batch)
    return trimmed_mean(np.array([apart[i : i + batch].mean() for i in starts]))
