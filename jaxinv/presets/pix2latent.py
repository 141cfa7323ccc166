"""Search without and with gradients (Huh et al. 2020, pix2latent): z, class and transform."""

from __future__ import annotations

from jaxinv.specs import Hook, InitSpec, Preset, SolverSpec, Stage, Term, Variable

HUH = "Huh et al. 2020, Transforming and Projecting Images into Class-conditional Generative Models"
PRIOR, PREVIOUS = InitSpec("prior"), InitSpec("previous")
# A mask of the call weighs both; LPIPS by position, as everywhere here.
TERMS = (Term("l1", 1.0), Term("lpips", 10.0, net="alexnet"))
Z = Variable("z", init=PRIOR)
ADAM = SolverSpec("adam", learning_rate=0.05)
CLAMP = (Hook("clamp", "z", bound=2.0),)
# The class starts where the call's label is, and moves at 0.01.
CLASS = Variable("embedding", init=InitSpec("class"), rate=0.2)
REFINED = Stage((Variable("z", init=PREVIOUS), CLASS), TERMS, 300, ADAM, CLAMP)
INNER = (("inner", 30), ("inner_rate", 0.05), ("population", 18))
BASIN_STEPS = 30 * 18 * 31
BASIN = Stage((Z,), TERMS, BASIN_STEPS, SolverSpec("basin-cma", 0.5, options=INNER))
HELD = (
    "Candidates are of z alone; the class is held until the last 300 steps (there it is refined "
    "beside every candidate). One step is one evaluation."
)

ADAM_ONLY = Preset(
    name="pix2latent-adam",
    summary="z and class by absolute differences and LPIPS; Adam, 9 restarts",
    reference=HUH + ", section 3.1",
    restarts=9,
    stages=(Stage((Z, CLASS), TERMS, 500, ADAM, CLAMP),),
)
LBFGS = Preset(
    name="pix2latent-lbfgs",
    summary="z by absolute differences and LPIPS; L-BFGS, 9 restarts",
    reference=HUH + ", section 4.2, as a rival",
    notes="Its rates and line search are this library's.",
    restarts=9,
    stages=(Stage((Z,), TERMS, 500, SolverSpec("lbfgs")),),
)
CMA = Preset(
    name="pix2latent-cma",
    summary="z by CMA-ES, 200 generations of 18, then z and class by Adam",
    reference=HUH + ", section 3.1",
    notes=HELD,
    stages=(
        Stage((Z,), TERMS, 200 * 18, SolverSpec("cma", 0.5, options=(("population", 18),))),
        REFINED,
    ),
)
BASIN_CMA = Preset(
    name="pix2latent-basincma",
    summary="z by BasinCMA, 30 generations of 18 with 30 steps of Adam each, then z and class",
    reference=HUH + ", section 3.1, algorithm 1",
    notes=HELD,
    stages=(BASIN, REFINED),
)
DE = Preset(
    name="pix2latent-de",
    summary="z by differential evolution, 1000 evaluations, then z and class by Adam",
    reference=HUH + ", its code's choices of Nevergrad",
    notes=HELD,
    stages=(Stage((Z,), TERMS, 1000, SolverSpec("de", 0.5)), REFINED),
)
HYBRID = Preset(
    name="pix2latent-hybrid",
    summary="z by differential evolution over basins of 30 steps of Adam, then z and class",
    reference=HUH + ", its code's hybrid of Nevergrad and Adam",
    notes=HELD,
    stages=(
        Stage((Z,), TERMS, BASIN_STEPS, SolverSpec("basin-de", 0.5, options=INNER)),
        REFINED,
    ),
)
UNCONDITIONAL = Preset(
    name="pix2latent-z",
    summary="BasinCMA, then Adam, of z alone: for generators without classes",
    reference=HUH + ", section 3.1, for StyleGAN2 in its code",
    notes="The code also adds noise of 0.05 to z after each step of Adam for StyleGAN2.",
    stages=(
        BASIN,
        Stage((Variable("z", init=PREVIOUS),), TERMS, 300, ADAM, CLAMP),
    ),
)
TRANSFORM = Preset(
    name="pix2latent-transform",
    summary="shift and scale with z by BasinCMA (50 generations, 10 steps each), then z and class",
    reference=HUH + ", section 3.2",
    notes=(
        "The render is moved towards the target (there the target, the other way). z and transform "
        "are proposed together; the code carries z from one generation to the next."
    ),
    stages=(
        Stage(
            (Z, Variable("transform", kinds=("shift", "scale"))),
            TERMS,
            50 * 18 * 11,
            SolverSpec(
                "basin-cma",
                0.1,
                options=(("inner", 10), ("inner_rate", 0.05), ("population", 18)),
            ),
        ),
        BASIN,
        REFINED,
    ),
)
