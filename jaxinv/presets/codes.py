"""Search for the z of a generator: by gradients, from measurements, by sampling, by layers."""

from __future__ import annotations

from jaxinv.specs import Hook, InitSpec, Preset, Schedule, SolverSpec, Stage, Term, Variable

PRIOR, PREVIOUS = InitSpec("prior"), InitSpec("previous")
Z = Variable("z", init=PRIOR)

CRESWELL = Preset(
    name="creswell",
    summary="z by pixels and its Gaussian prior; RMSProp, from a draw",
    reference="Creswell & Bharath 2018, Inverting the Generator, arXiv:1802.05701, section 3",
    notes=(
        "Constants of the long runs of its code (rate 0.01, weight 0.01 of z^2 / 2, 5000 to 10000 "
        "steps of squares on [-1, 1]). The paper's loss, not verified, is a cross-entropy: 'bce'."
    ),
    stages=(
        Stage(
            variables=(Z,),
            terms=(Term("mse", 1.0), Term("gaussian", 0.005, variable="z")),
            steps=5000,
            solver=SolverSpec("rmsprop", learning_rate=0.01),
        ),
    ),
)

LIPTON = Preset(
    name="lipton",
    summary="z by pixels; coordinates that leave [-1, 1] are drawn anew (stochastic clipping)",
    reference="Lipton & Tripathi 2017, Precise Recovery of Latent Vectors, arXiv:1702.04782",
    notes="Constants of a third party's code: Adam at 0.01, b1 0.5, 10000 steps. For uniform z.",
    stages=(
        Stage(
            variables=(Z,),
            terms=(Term("mse"),),
            steps=10000,
            solver=SolverSpec("adam", learning_rate=0.01, options=(("b1", 0.5),)),
            hooks=(Hook("redraw", "z", bound=1.0),),
        ),
    ),
)

IGAN_ZHU = (
    "Zhu et al. 2016, Generative Visual Manipulation on the Natural Image Manifold, "
    "arXiv:1609.03552, "
)
IGAN = Preset(
    name="igan",
    summary="z within (-1, 1) by pixels and AlexNet conv4; L-BFGS, 200 evaluations",
    reference=IGAN_ZHU + "projection by optimisation; constants of its code",
    notes=(
        "The code starts at an encoder (give `starts`) and uses L-BFGS-B without bounds. Whether "
        "conv4 is before or after its ReLU there is not verified (here before)."
    ),
    stages=(
        Stage(
            variables=(Variable("z", codec="tanh", init=PRIOR),),
            terms=(Term("mse", 1.0), Term("features", 0.002, net="alexnet", layers=("conv4",))),
            steps=200,
            solver=SolverSpec("lbfgs"),
        ),
    ),
)
IGAN_EDIT = Preset(
    name="igan-edit",
    summary="z by masked colours and edges of what was painted, near its start; 64 restarts",
    reference=IGAN_ZHU + "manipulation; constants of its code",
    notes=(
        "Needs starts (the z of what is edited). The code has one mask for colours and one for "
        "edges: here both see the mask of the call. Without its optional discriminator."
    ),
    restarts=64,
    stages=(
        Stage(
            variables=(Variable("z", codec="tanh", init=InitSpec("given", spread=0.1)),),
            terms=(
                Term("mse", 1.0),
                Term("hog", 0.2),
                Term("anchor", 5.0, variable="z"),
            ),
            steps=40,
            solver=SolverSpec("adam", learning_rate=0.1),
        ),
    ),
)

CSGM = Preset(
    name="csgm",
    summary="z by what was measured and its Gaussian prior; Adam, 10 restarts",
    reference="Bora et al. 2017, Compressed Sensing using Generative Models, sections 2 and 6",
    notes=(
        "Give the operator of the measurements. Not verified: Adam at 0.1, 500 steps, weight 0.001 "
        "of the prior, for its DCGAN of 64 px."
    ),
    restarts=10,
    stages=(
        Stage(
            variables=(Z,),
            terms=(Term("mse", 1.0), Term("gaussian", 0.001, variable="z")),
            steps=500,
            solver=SolverSpec("adam", learning_rate=0.1),
        ),
    ),
)

DEFENSE_GAN = Preset(
    name="defense-gan",
    summary="z by pixels, 200 steps with momentum, 10 restarts: what a classifier shall see",
    reference="Samangouei et al. 2018, Defense-GAN, arXiv:1805.06605, section 3; its code",
    notes=(
        "`applications.adversarial_defense` attacks and defends. Its rate 10 is for pictures in "
        "[0, 1]: squares of [-1, 1] are four times as large. Its MNIST starts are N(0, 1 / d)."
    ),
    restarts=10,
    stages=(
        Stage(
            variables=(Z,),
            terms=(Term("mse"),),
            steps=200,
            solver=SolverSpec(
                "momentum",
                learning_rate=2.5,
                schedule=Schedule("multi_step", points=((0.8, 0.1),)),
                options=(("decay", 0.7),),
            ),
        ),
    ),
)

STEP = Stage(
    variables=(Variable("z", init=PREVIOUS),),
    terms=(Term("mse"),),
    steps=50,
    solver=SolverSpec("adam", learning_rate=0.05),
    pgd_step_size=0.5,
)
PGD_GAN = Preset(
    name="pgd-gan",
    summary="projected gradients: 10 steps towards the measurements, z searched after each",
    reference="Shah & Hegde 2018, Solving Linear Inverse Problems using GAN Priors, algorithm 1",
    notes=(
        "Give the (linear) operator of the measurements. Not verified: the number of steps, their "
        "length 0.5, the inner search of 50 steps of Adam."
    ),
    stages=(
        Stage((Z,), (Term("mse"),), 100, SolverSpec("adam", learning_rate=0.05)),
        *(STEP,) * 10,
    ),
)

FROM_MEAN = (Variable("z", init=InitSpec("mean")),)
POSTERIOR = (
    Term("mse", 50.0, reduction="sum"),
    Term("anchor", 0.5, variable="z", reduction="sum"),
)
HMC = Preset(
    name="hmc",
    summary="samples of z given the image, at a noise of 0.1 per pixel: Hamiltonian Monte Carlo",
    checked="a Gaussian is accepted as often as it aims at",
    reference="this library, after Neal 2011, MCMC using Hamiltonian dynamics; see survey 3.3.1",
    notes=(
        "No published method gives constants. The energy is a sum over pixels, mean over colours, "
        "divided by 2 x 0.1^2, plus |z|^2 / 2; its last point is a sample, "
        "`keep_all_restarts` keeps one of each restart."
    ),
    stages=(
        Stage(
            variables=FROM_MEAN,
            terms=POSTERIOR,
            steps=4500,
            solver=SolverSpec(
                "hmc",
                learning_rate=0.01,
                options=(("leapfrog_steps", 10), ("warmup", 3000), ("target", 0.65)),
            ),
            keep="last",
        ),
    ),
)
HMC_ANNEALED = Preset(
    name="hmc-annealed",
    summary="the same chain while it cools; the best point is kept: a search",
    reference="this library, after Neal 2011 and Kirkpatrick et al. 1983; see survey 3.3.1",
    notes="No published method gives constants.",
    stages=(
        Stage(
            variables=FROM_MEAN,
            terms=POSTERIOR,
            steps=1000,
            solver=SolverSpec(
                "hmc",
                learning_rate=0.01,
                schedule=Schedule("exponential", rate=0.001),
                options=(("leapfrog_steps", 10), ("warmup", 200), ("target", 0.65)),
            ),
        ),
    ),
)

PIXELS = (Term("mse"),)
LEI = "Lei et al. 2019, Inverting Deep Generative Models, One Layer at a Time, arXiv:1906.07437, "
LEI_LP = Preset(
    name="lei-lp",
    summary="z of a chain of dense layers, one linear program per layer, largest residual",
    checked="z of a random chain of two layers comes back to 1e-3",
    reference=LEI + "section 4, l-infinity",
    stages=(Stage((Variable("z", init=InitSpec("layerwise", method="lp")),), PIXELS, 1),),
)
LEI_LP_RELAXED = Preset(
    name="lei-lp-relaxed",
    summary="z of a chain of dense layers, one linear program per layer, sum of residuals",
    checked="z of a random chain of two layers comes back to 1e-3",
    reference=LEI + "section 4, l1",
    stages=(Stage((Variable("z", init=InitSpec("layerwise", method="lp-relaxed")),), PIXELS, 1),),
)
ABERDAM_NOTE = "No code was available; the constants are this library's."
ABERDAM = Preset(
    name="aberdam",
    summary="z of a chain of dense layers by sparse coding of each, from the image back (ISTA)",
    checked="z of a random chain of two layers comes back to 1e-3",
    reference="Aberdam et al. 2020, When and How Can Deep Generative Models be Inverted, section 4",
    notes=ABERDAM_NOTE,
    stages=(Stage((Variable("z", init=InitSpec("layerwise", method="ista")),), PIXELS, 1),),
)
ABERDAM_NNLS = Preset(
    name="aberdam-nnls",
    summary="z of a chain of dense layers by non-negative least squares of each",
    checked="z of a random chain of two layers comes back to 1e-3",
    reference="Aberdam et al. 2020, When and How Can Deep Generative Models be Inverted, section 4",
    notes=ABERDAM_NOTE,
    stages=(Stage((Variable("z", init=InitSpec("layerwise", method="nnls")),), PIXELS, 1),),
)
