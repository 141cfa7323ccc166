"""The generator is tuned to the image: PTI, image-adaptive priors, and what they are made of."""

from __future__ import annotations

from jaxinv.presets.projector import PROJECTION
from jaxinv.specs import (
    InitSpec,
    Jitter,
    Preset,
    Schedule,
    SolverSpec,
    Stage,
    Stop,
    Term,
    Variable,
    View,
)

PRIOR, PREVIOUS = InitSpec("prior"), InitSpec("previous")
LEARNT = ("*kernel", "*bias", "*wise", "*weight", "*gamma", "*strength", "const")
SEEN = (Term("mse", 1.0), Term("lpips", 1.0, net="alexnet"))
SLOW = SolverSpec("adam", learning_rate=3e-4)
NEAR = Stop("lpips-alexnet", below=0.06)
ROICH = "Roich et al. 2021, Pivotal Tuning for Latent-based Editing of Real Images, section 3"

PIVOT = Stage(
    variables=(Variable("w"),),
    terms=(Term("lpips", 1.0, net="vgg16", view=View(256)),),
    steps=450,
    solver=SolverSpec("adam", learning_rate=0.01, schedule=Schedule("nv_ramp")),
    jitter=Jitter(scale=0.05, schedule=Schedule("quadratic_decay", until=0.75)),
    keep="last",
)
PIVOT_PLUS = Stage(
    variables=(Variable("w+"),),
    terms=(
        Term("mse", 1.0),
        Term(
            "features",
            1.0,
            net="vgg16",
            layers=("conv1_1", "conv1_2", "conv3_2", "conv4_2"),
            view=View(256),
        ),
    ),
    steps=1000,
    solver=SolverSpec("adam", learning_rate=0.01),
)
TUNED = Stage((Variable("weights", select=LEARNT),), SEEN, 350, SLOW, stop=NEAR)

PTI_TUNING = Preset(
    name="pti-tuning",
    summary="the second stage of pti alone: all weights around a code that is given",
    reference=ROICH + ".2",
    notes="Give the pivot as `starts`, or an encoder.",
    stages=(TUNED,),
)
PTI = Preset(
    name="pti",
    summary="one w by the projector, then all weights by pixels and LPIPS-Alex until 0.06; Adam",
    reference=ROICH,
    notes=(
        "As its code runs: the projector at 0.01 (its settings say 0.005), no locality term (that "
        "is pti-local, and one generator for several pivots pti-shared). There "
        "the projector also moves noise maps, which the tuning then drops: here they stay."
    ),
    stages=(PIVOT, TUNED),
)
PTI_LOCAL = Preset(
    name="pti-local",
    summary="PTI whose weights must draw a code 30 from the pivot, each time another, as before",
    reference=ROICH + ".3, equations 3 and 4",
    notes="As its code: weights 0.1 and 0.1, towards a w truncated by half. Noise maps stay there.",
    stages=(
        PIVOT,
        Stage(
            (Variable("weights", select=LEARNT),),
            (*SEEN, Term("locality", 0.1), Term("locality", 0.1, net="alexnet")),
            350,
            SLOW,
            stop=NEAR,
        ),
    ),
)
PTI_SHARED = Preset(
    name="pti-shared",
    summary="PTI with one change of the weights for all pictures, as for an album of one person",
    reference=ROICH + " (several images)",
    notes="All pictures of the run share it, or `--batch` of them. Its loss is their mean.",
    stages=(
        PIVOT,
        Stage((Variable("weights", select=LEARNT, shared=True),), SEEN, 350, SLOW, stop=NEAR),
    ),
)
PTI_LOW_RANK = Preset(
    name="pti-low-rank",
    summary="PTI whose kernels change by matrices of rank 4, with a penalty on their size",
    reference=ROICH + "; changes after Hu et al. 2021, LoRA, arXiv:2106.09685",
    notes=(
        "Rank, rate and penalty are this library's. The penalty takes the place of the locality "
        "term, which costs two more renders an evaluation."
    ),
    stages=(
        PIVOT,
        Stage(
            (Variable("weights", select=("*kernel", "*pointwise"), form="low-rank", rank=4),),
            (*SEEN, Term("drift", 1.0, power=2)),
            350,
            SLOW,
            stop=NEAR,
        ),
    ),
)
PROJECTOR_PTI = Preset(
    name="projector-pti",
    summary="the projector of StyleGAN2 with its noise maps, then PTI from where it ended",
    reference="Karras et al. 2020, StyleGAN2, appendix D; " + ROICH,
    stages=(PROJECTION, TUNED),
)
IMAGE2STYLEGAN_PTI = Preset(
    name="image2stylegan-pti",
    summary="W+ by Image2StyleGAN, 1000 steps, then PTI from where it ended",
    reference="Abdal et al. 2019, Image2StyleGAN; " + ROICH,
    notes=(
        "The 1000 steps are this library's; see image2stylegan for what is not verified there. A "
        "pivot in W+ keeps edits less well than one in W (section 3.1 of PTI)."
    ),
    stages=(PIVOT_PLUS, TUNED),
)

IAGAN = Preset(
    name="iagan",
    summary="z by what was measured, then z and all weights together, slower; Adam",
    reference="Hussein et al. 2020, Image-Adaptive GAN based Reconstruction, section 3, equation 5",
    notes=(
        "Give the operator of the measurements. Not verified: 1600 steps at 0.1, then 500 at 1e-4 "
        "for z and 1e-5 for the weights."
    ),
    stages=(
        Stage(
            (Variable("z", init=PRIOR),),
            (Term("mse"),),
            1600,
            SolverSpec("adam", learning_rate=0.1),
        ),
        Stage(
            (Variable("z", init=PREVIOUS), Variable("weights", select=LEARNT, rate=0.1)),
            (Term("mse"),),
            500,
            SolverSpec("adam", learning_rate=1e-4),
        ),
    ),
)

FIT = Stage(
    (Variable("surrogate", init=PREVIOUS, shared=True),),
    (Term("l1", 1.0),),
    25,
    SolverSpec("adam", learning_rate=1e-2),
)
MIMIC = Stage(
    (Variable("z", init=PREVIOUS),),
    (Term("l1", 1.0), Term("realism", 1e-3)),
    25,
    SolverSpec("adam", learning_rate=0.05),
)
MIMICGAN = Preset(
    name="mimicgan",
    summary="an unknown degradation and z in turns: a small network learns what was done to G(z)",
    reference="Anirudh et al. 2020, MimicGAN, arXiv:1912.07748, section 3, algorithm 1",
    notes=(
        "No code was available: all constants, and the network (two convolutions), are not "
        "verified. One network for all images of the run, or for `--batch` of them. "
        "The result is drawn without the network."
    ),
    stages=(
        Stage(
            (Variable("z", init=PRIOR),),
            (Term("l1", 1.0), Term("realism", 1e-3)),
            25,
            SolverSpec("adam", learning_rate=0.05),
        ),
        *(FIT, MIMIC) * 23,
    ),
)
