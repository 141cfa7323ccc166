"""Colours painted on a picture, and found again by the generator.

Inside of what was painted the colours count, and, where it is asked for, the edges that were drawn
(Zhu et al. 2016, iGAN, arXiv:1609.03552, section 4.2); outside the picture stays (Abdal et al.
2020, Image2StyleGAN++, arXiv:1911.11544, section 4.3), and the code stays near where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import binary_dilation

from jaxinv.inversion.objective import ImageObjective, decode_latents, image_start
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.io.image_ops import nearest
from jaxinv.losses.distances import CELL
from jaxinv.losses.terms import extract_features
from jaxinv.models.features.backbones import NETS
from jaxinv.models.rendering import draw_one
from jaxinv.sessions.operations import PaintColours
from jaxinv.sessions.places import SIDE, check_mask
from jaxinv.sessions.stepping import Search
from jaxinv.solvers.registry import build
from jaxinv.specs import InitSpec, SolverSpec, Stage, Term, Variable, View
from jaxinv.specs.checks import check_array

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.solvers.base import Solver
    from jaxinv.types import Array, Key, Latents, Tree

NET = "alexnet"  # whose LPIPS keeps the rest
PAINTED, DRAWN, KEPT = "painted", "drawn", "kept"  # masks: colours, edges, the rest
COLOUR_SIDE = 64  # px at which colours are compared, as in iGAN: texture is the generator's
MARGIN = 6  # px at 256 around what was painted, where anything goes
STEPS = 30


@lru_cache
def paint_stage(space: str, side: int) -> Stage:
    """What is lowered where `space` is moved and pictures of `side` px are compared."""
    terms = [
        Term("mse", 8.0, mask=PAINTED, view=View(COLOUR_SIDE)),
        Term("mse", 16.0, mask=KEPT),
        Term("anchor", 1e-4, variable=space),
    ]
    if side % CELL == 0:
        terms.append(Term("hog", 0.2, mask=DRAWN))
    if side >= NETS[NET].smallest:
        terms.append(Term("lpips", 4.0, net=NET, mask=KEPT))
    variable = Variable(space, init=InitSpec("previous"))
    return Stage((variable,), tuple(terms), STEPS, SolverSpec("adam", 0.015))


@dataclass(frozen=True)
class PaintTask:
    """Painting in one generator: what a stage of the engine is compiled for."""

    problem: Problem
    keep_best: bool = True

    @property
    def solver(self) -> Solver:
        """That of the stage."""
        return _built(self.problem.stage.solver)

    def prepare(self, weights: NetworkParams, given: tuple[Array, Lane]) -> Lane:
        """The lane of a picture [side, side, 3] that is wanted, with what the terms see of it."""
        image, lane = given
        seen = extract_features(self.problem.stage.terms, weights.feature_params, image)
        return lane._replace(target=seen)

    def begin(self, weights: NetworkParams, given: Lane) -> tuple[Tree, Tree]:
        """The codes of the latents as they are; values of the terms are not known yet."""
        codes = image_start(self.problem, weights, given)
        seen = jax.eval_shape(lambda: self.loss(weights, given, codes, (), jax.random.key(0))[1])
        return codes, jax.tree.map(lambda a: jnp.full(a.shape, jnp.inf, a.dtype), seen)

    def loss(
        self, weights: NetworkParams, given: Lane, codes: Tree, memory: Tree, key: Key
    ) -> tuple[Array, Tree]:
        """The stage's loss, and the value of every term."""
        del memory
        return ImageObjective(self.problem, weights, given, jnp.zeros(()))(codes, key)

    def over(self, given: Lane, memory: Tree) -> Array:
        """Never: there is always a better picture."""
        del given, memory
        return jnp.zeros((), bool)

    def latents(self, weights: NetworkParams, given: Lane, codes: Tree) -> Latents:
        """The latents with the code."""
        return decode_latents(self.problem, weights.params, codes, given)


_built = lru_cache(build)


class Paint(Search):
    """A painting that is under way: see `Session.painting`."""

    def __init__(
        self,
        gen: Generator,
        weights: NetworkParams,
        latents: Latents,
        colours: np.ndarray,
        mask: np.ndarray,
        *,
        edges: bool = False,
    ) -> None:
        """Prepare it; arguments and errors are those of `Session.painting`."""
        painted = check_mask(mask, "mask")
        wanted = check_colours(colours)
        self.painted = nearest(np.asarray(colours), SIDE), painted, bool(edges)
        side = min(SIDE, gen.spec.resolution)
        space = "w+" if gen.spec.w_dim else "z"
        before = draw_one(gen, weights.params, latents, side)
        inside = jnp.asarray(nearest(painted, side))[..., None]
        around = binary_dilation(painted > 0, iterations=MARGIN).astype(np.float32)
        image = inside * jnp.asarray(nearest(wanted, side)) + (1 - inside) * before
        masks = {
            PAINTED: inside,
            DRAWN: inside * float(edges),
            KEPT: 1 - jnp.asarray(nearest(around, side))[..., None],
        }
        lane = Lane({}, None, jax.random.key(0), jnp.zeros((), jnp.int32), latents, masks)
        problem = Problem(gen, paint_stage(space, side), side, 1)
        super().__init__(PaintTask(problem.program), weights, (image, lane))

    def operation(self) -> PaintColours:
        """What was painted, for as many steps as were made."""
        colours, mask, edges = self.painted
        return PaintColours(colours, mask, self.steps, edges)


def check_colours(colours: Any) -> np.ndarray:
    """Colours uint8 [n, n, 3] as float32 [256, 256, 3] in [-1, 1]; `ValueError` for others."""
    found = check_array("colours", colours, "fu")
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        raise ValueError(f"colours are {found.dtype} {list(found.shape)}; allowed: uint8 [n, n, 3]")
    if found.shape[0] != found.shape[1] or not found.size:
        raise ValueError(f"colours have shape {list(found.shape)}; allowed: a square")
    return nearest(found, SIDE).astype(np.float32) / 127.5 - 1


def net_names(gen: Generator) -> tuple[str, ...]:
    """The feature nets that painting needs: none where pictures are too small for one."""
    side = min(SIDE, gen.spec.resolution)
    return (NET,) if side >= NETS[NET].smallest else ()
