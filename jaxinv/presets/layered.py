"""Search behind the first layers: GANSeeing and intermediate layer optimisation."""

from __future__ import annotations

from jaxinv.specs import Hook, InitSpec, Preset, Schedule, SolverSpec, Stage, Term, Variable, View

PRIOR, PREVIOUS = InitSpec("prior"), InitSpec("previous")
# About the first three layers of a PGGAN of 256 px.
EARLY = (0.05, 0.12, 0.2)
HALVED = Schedule("multi_step", points=((0.266, 0.5), (0.4, 0.25), (0.6, 0.125)))
SEEN = (Term("l1", 1.0), Term("features", 1.0, net="vgg16", layers=("conv4_2",), distance="l1"))
Z = Stage(
    variables=(Variable("z", init=PRIOR),),
    terms=(Term("l1", 1.0),),
    steps=1000,
    solver=SolverSpec("lbfgs"),
)
RESIDUALS = Stage(
    variables=(Variable("features", layers=EARLY),),
    terms=(*SEEN, Term("residual_energy", 1.0)),
    steps=3000,
    solver=SolverSpec("adam", learning_rate=0.01, schedule=HALVED),
)
BAU = "Bau et al. 2019, Seeing What a GAN Cannot Generate, section 3.2 and equation 8"
GANSEEING_RESIDUALS = Preset(
    name="ganseeing-residuals",
    summary="what must be added after the first three layers to a code that is given",
    reference=BAU,
    notes="The second stage of ganseeing: give the code as `starts`, or an encoder.",
    stages=(RESIDUALS,),
)
GANSEEING = Preset(
    name="ganseeing",
    summary="z, then what must be added after the first three layers; pixels and VGG-16; Adam",
    reference=BAU,
    notes=(
        "The code starts at a network that inverts layer by layer: give its z as `starts`, here z "
        "is searched first by L-BFGS. Layers are fractions of the steps. conv4_2 is taken before "
        "its ReLU, which is not verified."
    ),
    stages=(Z, RESIDUALS),
)
PAINT = Stage(
    variables=(
        Variable("weights", form="multiply", select=("*kernel", "*wise"), step_range=(0.5, 1.0)),
    ),
    terms=(*SEEN, Term("drift", 1.0, power=2)),
    steps=1000,
    solver=SolverSpec("adam", learning_rate=1e-3),
)
PAINTED = "Bau et al. 2019, Semantic Photo Manipulation with a Generative Image Prior, 3.3"
GAN_PAINT_WEIGHTS = Preset(
    name="gan-paint-weights",
    summary="factors of later weights, for latents that are given",
    reference=PAINTED,
    notes="The last stage of gan-paint, where see what is not verified: give latents as `starts`.",
    stages=(PAINT,),
)
GAN_PAINT = Preset(
    name="gan-paint",
    summary="ganseeing, then later weights times (1 + d) within the mask of what is not painted",
    reference=PAINTED,
    notes=(
        "No official code of this stage was released. Not verified: the part of the layers, the "
        "weight 1 of the drift, 1000 steps of Adam at 0.001. Weights change there by factors on "
        "features, here on the kernels."
    ),
    stages=(Z, RESIDUALS, PAINT),
)

NEAR = (
    Term("mse", 1.0),
    Term("lpips", 1.0, net="vgg16", view=View(256)),
    Term("geocross", 0.01, variable="w+"),
)
RAMPED = SolverSpec("adam", learning_rate=0.1, schedule=Schedule("nv_ramp", rise=0.05, fall=0.75))
SPHERE = (Hook("sphere", "w+"),)
ROWS = Variable("w+", codec="gaussianized", init=PREVIOUS)
SPARSE = Term("sparsity", 1e-3, variable="features")
ILO = Preset(
    name="ilo",
    summary="rows on their spheres, then sparse features added ever deeper with the rows; Adam",
    reference="Daras et al. 2021, Intermediate Layer Optimization, arXiv:2102.07364, algorithm 1",
    notes=(
        "The code replaces the activations within an l1 ball (off by default): here they are "
        "added to, with an l1 penalty whose weight 0.001 is this library's. Layers are fractions "
        "of the steps. Noise maps stay; rows start as draws of the mapping. The code's steps are "
        "50, 50, 25, 25, its README's 1000s. Give the operator of the measurements, or a mask."
    ),
    stages=(
        Stage(
            variables=(Variable("z+", init=PRIOR),),
            terms=(Term("mse"),),
            steps=1,
        ),
        Stage((ROWS,), NEAR, 50, RAMPED, SPHERE),
        Stage((ROWS, Variable("features", layers=(0.15,))), (*NEAR, SPARSE), 50, RAMPED, SPHERE),
        Stage((ROWS, Variable("features", layers=(0.3,))), (*NEAR, SPARSE), 25, RAMPED, SPHERE),
        Stage((ROWS, Variable("features", layers=(0.45,))), (*NEAR, SPARSE), 25, RAMPED, SPHERE),
    ),
)
