"""Search in generators of natural pictures, with classes and discriminators: YLG, mGANPrior."""

from __future__ import annotations

from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable, View

PRIOR = InitSpec("prior")
LOOKAHEAD = SolverSpec("adam", learning_rate=0.07, options=(("lookahead", 5), ("pull", 0.5)))
DARAS = "Daras et al. 2020, Your Local GAN, section 5"

YLG = Preset(
    name="ylg",
    summary="z by the discriminator's features, weighted by its attention; 8 restarts",
    reference=DARAS,
    notes=(
        "The class is held: give it. The code weighs by the mean that the target's pixels are paid "
        "among the non-zero; all heads count here."
    ),
    restarts=8,
    stages=(Stage((Variable("z", init=PRIOR),), (Term("attention"),), 1000, LOOKAHEAD),),
)
YLG_UNIFORM = Preset(
    name="ylg-uniform",
    summary="the same without the weights of the attention: what they are compared with",
    reference=DARAS + ", its ablation",
    restarts=8,
    stages=(
        Stage((Variable("z", init=PRIOR),), (Term("attention", weighted=False),), 1000, LOOKAHEAD),
    ),
)

MGANPRIOR = Preset(
    name="mganprior",
    summary="20 codes z, mixed by channel half way through the network; pixels and VGG-16; SGD",
    checked="one code with share 1 draws what it draws alone",
    reference="Gu et al. 2020, Image Processing Using Multi-Code GAN Prior, section 3, equation 5",
    notes=(
        "Reconstruction; other tasks by their operators. The code's layer is 6 (churches) or 8 "
        "(bedrooms) of a PGGAN of 256 px, here half of the steps. It divides by the number of "
        "codes twice and resizes by nearest neighbours: here once, by areas."
    ),
    stages=(
        Stage(
            variables=(
                Variable("z", init=PRIOR, num_codes=20),
                Variable("mix", num_codes=20, layers=(0.5,)),
            ),
            terms=(
                Term("mse", 1.0),
                Term(
                    "features",
                    1e-3,
                    net="vgg16",
                    layers=("relu3_3",),
                    distance="l1",
                    view=View(256),
                ),
            ),
            steps=3000,
            solver=SolverSpec("sgd", learning_rate=1.0),
        ),
    ),
)
