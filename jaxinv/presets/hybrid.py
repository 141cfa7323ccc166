"""Features where a generator cannot draw the picture, weights where it can: hybrid refinement."""

from __future__ import annotations

from jaxinv.presets.everyday import ANCHOR, CALM, CODE, LEAST, LIKENESS, SOLVER
from jaxinv.specs import (
    InitSpec,
    MaskSpec,
    Preset,
    Schedule,
    SolverSpec,
    Stage,
    Term,
    Variable,
    View,
)

IN, OUT = "in-domain", "not in-domain"
EYE = View(256, min_size=256)  # what AlexNet looks at
WEIGHTS, FEATURES = ("weights",), ("features",)
REFINED = (
    Term("mse", 3.0, view=View(512), mask=IN, moves=WEIGHTS),
    Term("lpips", 1.0, net="alexnet", view=EYE, mask=IN, moves=WEIGHTS),
    Term("mse", 3.0, view=View(512), mask=OUT, moves=FEATURES),
    Term("lpips", 1.0, net="alexnet", view=EYE, mask=OUT, moves=FEATURES),
)
ADDED = Variable("features", layers=(0.65,), mask=OUT)
DHR = Preset(
    name="dhr",
    summary="w, w+, then weights where faces are drawn well and features of 128 px elsewhere",
    reference="Cao et al., domain-specific hybrid refinement (DHR), as GANInverter runs it",
    enlarge=LEAST,
    masks=(
        MaskSpec("face", "face"),
        MaskSpec(IN, "lpips", net="alexnet", below=0.25, after=1, within="face"),
    ),
    notes=(
        "The code's pivot is that of e4e, here a search in W+. Its mask goes by segments (SLIC) of "
        "a parser's face whose LPIPS after 40 steps in W is low; here by position, inside the hull "
        "of the landmarks. Features and weights move for 50 steps, features alone for 50 more, as "
        "there; rates and weights of terms are this library's."
    ),
    stages=(
        Stage(
            (Variable("w", codec="whiten", init=InitSpec("learned")),),
            LIKENESS,
            steps=40,
            solver=SolverSpec("lbfgs", options=(("adapt", 5),)),
        ),
        Stage(CODE, (*LIKENESS, *CALM), steps=60, solver=SOLVER),
        Stage(
            (
                ADDED,
                Variable(
                    "weights",
                    form="multiply",
                    select=("block[1-9]/*/pointwise", "*/bias", "head/kernel"),
                    rate=0.1,
                ),
            ),
            (*REFINED, ANCHOR),
            steps=50,
            solver=SolverSpec("adam", learning_rate=0.09, options=(("b2", 0.99),)),
        ),
        Stage(
            (Variable("features", layers=(0.65,), mask=OUT, init=InitSpec("previous")),),
            (
                Term("mse", 3.0, view=View(512), mask=OUT),
                Term("lpips", 1.0, net="alexnet", view=EYE, mask=OUT),
                ANCHOR,
            ),
            steps=50,
            solver=SolverSpec(
                "adam",
                learning_rate=0.09,
                schedule=Schedule("cosine"),
                options=(("b2", 0.99),),
            ),
        ),
    ),
)

GIVEN = InitSpec("given")
IN_DOMAIN = "Zhu et al. 2020, In-Domain GAN Inversion for Real Image Editing, arXiv:2004.00049, "
HELD_IN_DOMAIN = (
    Term("mse", 1.0),
    Term("features", 0.16, net="vgg16", layers=("relu4_3",), view=View(256)),
    Term("encoder_cycle", 2.0),
)
VGG_SCALE = (
    "Needs an encoder: `--init encoder:NAME`. Its 5e-5 of VGG is "
    "for inputs to 255; 0.16 allows for their scale, not for the biases."
)
IDINVERT_CYCLE = Preset(
    name="idinvert-cycle",
    summary="W+ from an encoder; pixels, VGG-16 and what the encoder sees of the picture; Adam",
    reference=IN_DOMAIN + "equation 5; constants of its code",
    notes=VGG_SCALE,
    stages=(
        Stage(
            (Variable("w+", init=GIVEN),),
            HELD_IN_DOMAIN,
            steps=100,
            solver=SolverSpec("adam", learning_rate=0.01),
        ),
    ),
)
GUAN_SEARCH = Preset(
    name="guan-search",
    summary="W+ from an encoder, by pixels and LPIPS; Adam, 100 steps",
    reference="after Guan et al. 2020, Collaborative Learning, arXiv:2007.01758, section 3",
    notes="The iterator of the encoder guan: `--init encoder:NAME`. Not verified: all constants.",
    stages=(
        Stage(
            (Variable("w+", init=GIVEN),),
            (Term("mse", 1.0, view=View(256)), Term("lpips", 1.0, net="vgg16", view=EYE)),
            steps=100,
            solver=SolverSpec("adam", learning_rate=0.01),
        ),
    ),
)
GAN_ENSEMBLING_CYCLE = Preset(
    name="gan-ensembling-cycle",
    summary="W+ from an encoder, by l1, LPIPS and what the encoder sees; L-BFGS, 500 evaluations",
    reference="Chai et al. 2021, Ensembling with Deep Generative Views, section 3.1",
    notes=(
        "Needs an encoder: `--init encoder:NAME`. LPIPS by VGG is not "
        "verified. Its solver makes 10 line-search evaluations a step."
    ),
    stages=(
        Stage(
            (Variable("w+", init=GIVEN),),
            (
                Term("l1", 0.5),
                Term("lpips", 0.5, net="vgg16", view=View(256)),
                Term("embedding", 0.25, net="encoder"),
            ),
            steps=500,
            solver=SolverSpec("lbfgs"),
        ),
    ),
)

SEEN_Z = (Variable("z", init=InitSpec("encoder")),)
LOOK = SolverSpec("sgd", learning_rate=1e-12)
NPGD = Preset(
    name="npgd",
    summary="projected gradients: 30 steps towards the measurements, an encoder's z after each",
    reference="Raj et al. 2019, arXiv:1910.13427, algorithm 1; constants of its code",
    notes=(
        "Give the (linear) operator of the measurements, and its projector among the nets "
        "(`train-encoder npgd-projector`, `encoders.cycle.as_net`). Its steps are 0.5 for "
        "compressed sensing of faces; 1 for digits, 2 and 1 for holes, 6 for double resolution. "
        "A stage evaluates its start alone: one pass of the encoder."
    ),
    stages=(
        Stage(SEEN_Z, (Term("mse"),), 1, LOOK),
        *(Stage(SEEN_Z, (Term("mse"),), 1, LOOK, pgd_step_size=0.5),) * 30,
    ),
)
