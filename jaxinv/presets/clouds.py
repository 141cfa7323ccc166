"""Clouds of points: a part of one completed by a generator of whole ones."""

from __future__ import annotations

from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable

ZHANG = "Zhang et al. 2021, ShapeInversion, arXiv:2104.13788"
PREVIOUS = InitSpec("previous")
CHAMFER = Term("chamfer", neighbours=5)
PRIOR = Term("gaussian", 0.0005, variable="z")  # 0.001 of z^2 / 2
FIRST = Variable("weights", rate=2e-5)
SECOND = Variable("weights", init=PREVIOUS, rate=1e-2)
LAST = Variable("weights", init=PREVIOUS, rate=0.2)
BEST, NEXT = Variable("z", init=InitSpec("best-of", count=500)), Variable("z", init=PREVIOUS)
LIKE, STEPS = (CHAMFER, PRIOR), 200

SHAPE_INVERSION = Preset(
    name="shapeinversion",
    summary="best of 500 z, then z and all weights, by Chamfer distance behind the k-mask",
    reference=ZHANG,
    notes=(
        "Its distance of discriminator features, weight 0.1, is not here. The first draws are "
        "compared by the loss, there by those features. Weights move by 2e-7, 1e-6, 1e-6 and 2e-7."
    ),
    stages=(
        Stage((BEST, FIRST), LIKE, STEPS, SolverSpec("adam", 1e-2)),
        Stage((NEXT, SECOND), LIKE, STEPS, SolverSpec("adam", 1e-4)),
        Stage((NEXT, SECOND), LIKE, STEPS, SolverSpec("adam", 1e-4)),
        Stage((NEXT, LAST), LIKE, STEPS, SolverSpec("adam", 1e-6)),
    ),
)
