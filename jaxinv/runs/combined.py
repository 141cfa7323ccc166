"""A restored picture with what is known of it put back: the grey of a photograph, its whole pixels.

A generator redraws everything. Where the degradation leaves known pixels or their grey alone, the
answer is moved by what it lacks of them, so that, degraded again, it is the input: the part that
the degradation does not see is the generator's (range-null space decomposition, Wang et al. 2023,
DDNM, arXiv:2212.00490, section 3.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxinv.io import images
from jaxinv.nn.resample import enlarge, fill_masked
from jaxinv.runs.observations import leaves_grey

if TYPE_CHECKING:
    from jaxinv.runs.observations import Observation
    from jaxinv.specs import OperatorSpec


def combined(
    operator: OperatorSpec | None, full: np.ndarray, again: np.ndarray, given: Observation
) -> np.ndarray | None:
    """The picture `full` uint8 [H, W, 3] with what is known put back, of the same size.

    `again` is what would have been seen of it (see `remeasured`). At the size of the observation
    its known pixels, or their grey, are those of the input; where pixels are missing, it is moved
    as those around them are, so that no border is left. None where neither is known: of other
    operators, and where nothing is missing.
    """
    grey = operator is not None and len(operator.chain) == 1 and leaves_grey(operator)
    if not grey and (operator is not None or given.mask is None):
        return None
    lacking = np.asarray(given.measurement - again, np.float32)
    lacking = np.broadcast_to(lacking, (*lacking.shape[:2], 3))
    if given.mask is not None:
        lacking = fill_masked(jnp.asarray(lacking), jnp.asarray(given.mask)[..., None])
    moved = images.from_uint8(full) + np.asarray(enlarge(jnp.asarray(lacking), len(full)))
    return images.to_uint8(np.clip(moved, -1, 1))
