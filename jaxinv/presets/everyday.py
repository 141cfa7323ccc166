"""The three presets that most people need; they differ only in how long they look."""

from __future__ import annotations

from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable, View

FACE_TERMS = (
    Term("mse", 2.0, view=View(256)),
    Term("lpips", 1.0, net="alexnet", view=View(256)),
    Term("lpips", 1.0, net="vgg16", view=View(128)),
)
PLBFGS = SolverSpec("lbfgs", learning_rate=0.1, options=(("history", 10), ("warmup", 20)))
STAGE = Stage((Variable("w+", codec="whiten"),), FACE_TERMS, steps=100, solver=PLBFGS)
DEFAULT = Preset("default", (STAGE,), "W+", "own")
QUICK = DEFAULT
FINE = DEFAULT
