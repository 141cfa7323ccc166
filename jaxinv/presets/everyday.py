"""The presets that most people need: they differ in how long they look."""

from __future__ import annotations

from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable, View

CODE = (Variable("w+", codec="eigen"),)
LIKENESS = (
    Term("mse", 2.0, view=View(512)),
    Term("lpips", 1.0, net="alexnet", view=View(256)),
    Term("lpips", 1.0, net="vgg16", view=View(128)),
)
# Without it, longer searches leave a fine weave on skin that a loss at 256 px cannot see.
SMOOTH = (Term("weave", 1000.0, view=View(512)),)
SOLVER = SolverSpec("lbfgs", learning_rate=0.1, options=(("history", 10), ("warmup", 20)))
REFERENCE = "this library: L-BFGS preconditioned by Adam, in gradient axes (Wang & Ponce 2021)"

QUICK = Preset(
    name="quick",
    summary="W+, pixels and LPIPS, 50 evaluations: a likeness",
    reference=REFERENCE,
    stages=(Stage(CODE, LIKENESS, steps=50, solver=SOLVER),),
)
DEFAULT = Preset(
    name="default",
    summary="W+, pixels and LPIPS, no weave, 100 evaluations: clearly the person",
    reference=REFERENCE,
    stages=(Stage(CODE, (*LIKENESS, *SMOOTH), steps=100, solver=SOLVER),),
)
FINE = Preset(
    name="fine",
    summary="as default with 200 evaluations: small things too",
    reference=REFERENCE,
    stages=(Stage(CODE, (*LIKENESS, *SMOOTH), steps=200, solver=SOLVER),),
)
