"""The presets that most people need: W+ in three lengths, and z where there is no W."""

from __future__ import annotations

from jaxinv.specs import InitSpec, Preset, Schedule, SolverSpec, Stage, Term, Variable, View

CODE = (Variable("w+", codec="preconditioned", init=InitSpec("learned")),)
LIKENESS = (
    Term("mse", 3.0, view=View(512)),
    Term("lpips", 1.0, net="alexnet", view=View(256, min_size=256)),
    Term("lpips", 1.0, net="vgg16", view=View(96, min_size=96)),
)
# A loss at 256 px hardly sees what later rows draw. Left alone they drift to three times the
# distance from the mean that random codes have, and draw skin as engraving and hair as oil paint.
WEAVE = Term("checkerboard", 4000.0, view=View(512))
# What tuned weights draw above the photograph's resolution stays what the code alone drew.
ANCHOR = Term("high_pass_anchor", 20.0)
CALM = (
    WEAVE,
    Term("gaussian", 0.1, variable="w+", row_range=(0.35, 1.0)),
    Term("gaussian", 0.3, variable="w+", row_range=(0.7, 1.0)),
)
LEAST = 512  # smaller photographs are enlarged: at 256 px the same pattern passes for detail
SOLVER = SolverSpec("lbfgs", options=(("history", 40), ("initial_scale", 2.0), ("adapt", 5)))
SEARCH = Stage(CODE, (*LIKENESS, *CALM), steps=100, solver=SOLVER)
REFERENCE = (
    "this library: L-BFGS from a learned start, in units of the loss's curvature along gradient "
    "axes (Wang & Ponce 2021)"
)

QUICK = Preset(
    name="quick",
    summary="W+, pixels and LPIPS, 50 evaluations: a likeness",
    reference=REFERENCE,
    enlarge=LEAST,
    stages=(Stage(CODE, (*LIKENESS, *CALM), steps=50, solver=SOLVER),),
)
DEFAULT = Preset(
    name="default",
    summary="the same search, 100 evaluations: clearly the person",
    reference=REFERENCE,
    enlarge=LEAST,
    stages=(SEARCH,),
)
FINE = Preset(
    name="fine",
    summary="the same search, 200 evaluations: small things too",
    reference=REFERENCE,
    enlarge=LEAST,
    stages=(Stage(CODE, (*LIKENESS, *CALM), steps=200, solver=SOLVER),),
)
RESTORE = Preset(
    name="restore",
    summary="the search of default, held near the mean of W: for pictures that lack something",
    reference=REFERENCE + "; a Gaussian prior on the code as in Bora et al. 2017, section 3",
    notes="What the picture does not say, the prior must: default invents what nobody would draw.",
    enlarge=LEAST,
    stages=(
        Stage(
            CODE,
            (
                *LIKENESS,
                WEAVE,
                Term("gaussian", 0.1, variable="w+", reference_side=256),
                Term("gaussian", 1.0, variable="w+", row_range=(0.5, 1.0)),
                Term("row_spread", 0.1, variable="w+"),  # what is hidden goes with what is seen
            ),
            steps=100,
            solver=SOLVER,
        ),
    ),
)
Z = Preset(
    name="z",
    summary="z and pixels, from 4 random starts, 200 evaluations: for generators without W",
    reference="this library: L-BFGS on the objective of Creswell & Bharath 2018, arXiv:1802.05701",
    restarts=4,
    stages=(
        Stage(
            (Variable("z", init=InitSpec("prior")),),
            (Term("mse"),),
            steps=200,
            solver=SOLVER,
        ),
    ),
)
W_PLUS = Preset(
    name="w+",
    summary="W+ and pixels, 200 evaluations: without feature networks, for small generators",
    reference="this library: L-BFGS on the objective of Abdal et al. 2019 without its features",
    stages=(
        Stage(
            (Variable("w+", codec="whiten"),),
            (Term("mse"), Term("gaussian", 1e-4, variable="w+")),
            steps=200,
            solver=SOLVER,
        ),
    ),
)
TUNED = ("block[1-9]/*/pointwise", "*/bias", "head/kernel")
TUNING = SolverSpec(
    "adam",
    learning_rate=0.01,
    schedule=Schedule("nv_ramp", rise=0.2, fall=0.8),
    options=(("b2", 0.99),),
)
FAITHFUL = Preset(
    name="faithful",
    summary="default, then weights of the generator for this image alone, 50 evaluations",
    reference=REFERENCE + "; tuning after Roich et al. 2021, PTI, section 3",
    notes="Of MobileStyleGAN: pointwise kernels after the first block, biases, image layer.",
    enlarge=LEAST,
    stages=(
        SEARCH,
        Stage(
            variables=(
                Variable(
                    "weights",
                    form="multiply",
                    select=TUNED,
                ),
            ),
            terms=(*LIKENESS, ANCHOR),
            steps=50,
            solver=TUNING,
        ),
    ),
)
