"""Deep generative prior: z and the generator's weights, released from the shallow end on."""

from __future__ import annotations

from jaxinv.specs import InitSpec, OperatorSpec, Preset, SolverSpec, Stage, Term, Variable

PAN = "Pan et al. 2020, Exploiting Deep Generative Prior, section 3, equations 3 to 5"
NOTE = (
    "The code draws 500 starts at a standard deviation of 0.3 to 0.5 (here as the prior does), "
    "normalises instances in its first stages and gives groups of weights rates of their own: "
    "not here. Its groups are fractions of the steps here. Give the class."
)
PREVIOUS = InitSpec("previous")
Z = Variable("z", init=PREVIOUS)
PRIOR = Term("gaussian", 0.01, variable="z")  # 0.02 of z^2 / 2
LEARNT = ("*kernel", "*bias", "*gamma")
CHOICE = Stage(
    variables=(Variable("z", init=InitSpec("best-of", count=500)),),
    terms=(Term("features", 1.0, net="discriminator", last_layers=3, distance="l1"),),
    steps=1,
    solver=SolverSpec("sgd", learning_rate=1e-12),
)
SEVEN = Term("features", 1.0, net="discriminator", last_layers=7, distance="l1")
EIGHT = Term("features", 1.0, net="discriminator", last_layers=8, distance="l1")
TENTH = Term("features", 0.1, net="discriminator", last_layers=7, distance="l1")
EIGHT_HALF = Term("features", 0.5, net="discriminator", last_layers=8, distance="l1")
LIKE = (SEVEN, Term("mse", 10.0), PRIOR)
EXACT = (TENTH, Term("mse", 100.0), PRIOR)
NEAR = (EIGHT, Term("mse", 1.0), PRIOR)
B1 = (("b1", 0.0),)
FREE = Variable("weights", init=PREVIOUS, select=LEARNT)

RECONSTRUCT = Preset(
    name="dgp-reconstruct",
    summary="best of 500 z, then z and ever more weights by discriminator features and pixels",
    checked="weights that are not released yet stay, bit for bit",
    reference=PAN,
    notes=(
        NOTE + " Against adversarial pictures: the same with a `stop` on mse in its stages (the "
        "threshold is not verified, so there is none here)."
    ),
    stages=(
        CHOICE,
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 2 / 7), rate=0.2
                ),
            ),
            LIKE,
            200,
            SolverSpec("adam", 1e-3, options=B1),
        ),
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 3 / 7), rate=0.2
                ),
            ),
            LIKE,
            200,
            SolverSpec("adam", 1e-3, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 4 / 7))),
            LIKE,
            200,
            SolverSpec("adam", 1e-4, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 5 / 7))),
            EXACT,
            200,
            SolverSpec("adam", 1e-4, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 6 / 7))),
            EXACT,
            200,
            SolverSpec("adam", 1e-5, options=B1),
        ),
    ),
)

COLORIZE = Preset(
    name="dgp-colorize",
    summary="the same behind the operator 'gray', by discriminator features alone",
    reference=PAN + "; 4.1",
    notes=NOTE + " Pasting the lightness of the photograph is a step after it.",
    operator=OperatorSpec("gray"),
    stages=(
        CHOICE,
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 2 / 7), rate=0.025
                ),
            ),
            (SEVEN, PRIOR),
            200,
            SolverSpec("adam", 2e-3, options=B1),
        ),
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 3 / 7), rate=0.05
                ),
            ),
            (SEVEN, PRIOR),
            200,
            SolverSpec("adam", 1e-3, options=B1),
        ),
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 4 / 7), rate=0.1
                ),
            ),
            (SEVEN, PRIOR),
            300,
            SolverSpec("adam", 5e-4, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 5 / 7))),
            (SEVEN, PRIOR),
            400,
            SolverSpec("adam", 5e-5, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 6 / 7))),
            (SEVEN, PRIOR),
            300,
            SolverSpec("adam", 2e-5, options=B1),
        ),
    ),
)

SUPER_RESOLVE = Preset(
    name="dgp-super-resolve",
    summary="the same behind a reduction by 4 that is enlarged again, features and pixels",
    reference=PAN + "; 4.3",
    notes=(
        NOTE
        + " Images are small ones enlarged by 4, bilinear. Their own reduction is PIL's there. "
        "Constants of the form that favours the discriminator."
    ),
    operator=OperatorSpec(
        "compose",
        parts=(
            OperatorSpec("down", factor=4, kernel="lanczos2"),
            OperatorSpec("up", factor=4, kernel="bilinear"),
        ),
    ),
    stages=(
        CHOICE,
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 2 / 7), rate=0.025
                ),
            ),
            NEAR,
            200,
            SolverSpec("adam", 2e-3, options=B1),
        ),
        Stage(
            (
                Z,
                Variable(
                    "weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 3 / 7), rate=0.05
                ),
            ),
            NEAR,
            200,
            SolverSpec("adam", 1e-3, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 4 / 7))),
            NEAR,
            200,
            SolverSpec("adam", 2e-5, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, step_range=(0.0, 5 / 7))),
            NEAR,
            200,
            SolverSpec("adam", 1e-5, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT)),
            NEAR,
            200,
            SolverSpec("adam", 1e-5, options=B1),
        ),
    ),
)

CLASS = Variable("embedding", init=InitSpec("class"))
CLASS_ON = Variable("embedding", init=PREVIOUS)
INPAINT = Preset(
    name="dgp-inpaint",
    summary="z, class and all weights at once, within the mask of what is known",
    reference=PAN + "; 4.2",
    notes=NOTE + " The mask comes from the call (there a centred square of a third is hidden).",
    stages=(
        CHOICE,
        Stage(
            (Z, CLASS, Variable("weights", init=PREVIOUS, select=LEARNT, rate=0.025)),
            NEAR,
            200,
            SolverSpec("adam", 2e-3, options=B1),
        ),
        Stage(
            (Z, CLASS_ON, Variable("weights", init=PREVIOUS, select=LEARNT, rate=0.05)),
            NEAR,
            200,
            SolverSpec("adam", 1e-3, options=B1),
        ),
        Stage(
            (Z, CLASS_ON, FREE),
            NEAR,
            400,
            SolverSpec("adam", 2e-5, options=B1),
        ),
        Stage(
            (Z, CLASS_ON, FREE),
            (EIGHT_HALF, Term("mse", 10.0), PRIOR),
            200,
            SolverSpec("adam", 1e-5, options=B1),
        ),
    ),
)

LOOSE = Term("gaussian", 0.1, variable="z")  # 0.2 of z^2 / 2
JITTER = Preset(
    name="dgp-jitter",
    summary="a likeness whose z can be shaken afterwards: few steps, features alone",
    reference=PAN + "; 4.4 and its appendix",
    notes=NOTE + " For jitter, morphing and category transfer (`jaxinv render --label`).",
    stages=(
        CHOICE,
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, rate=2e-6)),
            (EIGHT, LOOSE),
            125,
            SolverSpec("adam", 0.1, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, rate=2e-3)),
            (EIGHT, LOOSE),
            125,
            SolverSpec("adam", 1e-2, options=B1),
        ),
        Stage(
            (Z, Variable("weights", init=PREVIOUS, select=LEARNT, rate=1e-2)),
            (EIGHT, LOOSE),
            100,
            SolverSpec("adam", 2e-4, options=B1),
        ),
    ),
)
