"""Embedding into W+ and the spaces around it: Image2StyleGAN and its successors."""

from __future__ import annotations

from jaxinv.specs import Hook, InitSpec, Preset, Schedule, SolverSpec, Stage, Term, Variable, View

PREVIOUS = InitSpec("previous")
SLOW = SolverSpec("adam", learning_rate=0.01)
FIRST_LAYERS = ("conv1_1", "conv1_2", "conv3_2", "conv4_2")
LAYERED = (
    Term("mse", 1.0),
    Term("features", 1.0, net="vgg16", layers=FIRST_LAYERS, view=View(256)),
)

IMAGE2STYLEGAN = Preset(
    name="image2stylegan",
    summary="one w per layer (W+); pixels and four VGG-16 layers at 256 px; Adam, constant rate",
    reference="Abdal et al. 2019, Image2StyleGAN, section 5 and equation 1",
    notes=(
        "No official code. The layers are those of two third-party ports. Not verified against the "
        "paper: equal weights, Adam at 0.01, 5000 steps, and the mean of W as the start of faces "
        "(of other pictures a uniform draw, here the mean too)."
    ),
    stages=(
        Stage(
            variables=(Variable("w+"),),
            terms=LAYERED,
            steps=5000,
            solver=SLOW,
        ),
    ),
)

ABDAL = "Abdal et al. 2020, Image2StyleGAN++, "
PERCEPT = Term(
    "features",
    1.0,
    net="vgg16",
    layers=("conv1_1", "conv1_2", "conv2_2", "conv3_3"),
    view=View(256),
)
STYLE = Term("features", 1.0, net="vgg16", layers=("conv3_3",), distance="style", view=View(256))
COARSE = Stage((Variable("w+"),), (Term("mse"), PERCEPT), 5000, SLOW)
GRAIN = Stage(
    variables=(Variable("noise", init=InitSpec("prior")),),
    terms=(Term("mse", reduction="sum"),),
    steps=3000,
    solver=SolverSpec("adam", learning_rate=5.0),
)
IMAGE2STYLEGAN_PLUS = Preset(
    name="image2stylegan++",
    summary="W+ by pixels and VGG-16, then the noise maps by pixels, with w held",
    checked="the second stage leaves w as it is, bit for bit",
    reference=ABDAL + "section 3, equation 1",
    notes=(
        "No official code. Not verified against the paper: the VGG layers, the steps (5000, 3000). "
        "Adam at 5 on the noise is agreed by a third party's port; the best point is kept."
    ),
    stages=(COARSE, GRAIN),
)
I2S_W = Preset(
    name="image2stylegan++-w",
    summary="the operator W_l: W+ by pixels and VGG-16 within the mask",
    reference=ABDAL + "section 3.1",
    notes="Masks come from the call. Not verified: VGG layers, 5000 steps.",
    stages=(COARSE,),
)
I2S_STYLE = Preset(
    name="image2stylegan++-style",
    summary="the operator M_st: W+ by the Gram matrix of VGG-16 conv3_3 within the mask",
    reference=ABDAL + "section 3.2",
    notes="The target is the picture of the style. Not verified: layer, 5000 steps.",
    stages=(Stage((Variable("w+"),), (STYLE,), 5000, SLOW),),
)
I2S_NOISE = Preset(
    name="image2stylegan++-noise",
    summary="the operator M_kn: the noise maps alone by pixels, w held; needs starts",
    reference=ABDAL + "section 3.3",
    notes=(
        "Two masked squares, towards x inside and y outside, are one square towards the picture "
        "composed of both: compose it before the call. Not verified: 3000 steps."
    ),
    stages=(GRAIN,),
)

ZHU = "Zhu et al. 2020, Improved StyleGAN Embedding, arXiv:2012.09036, "
LIKENESS = (Term("mse", 1.0), Term("lpips", 1.0, net="vgg16", view=View(256)))
II2S = Preset(
    name="ii2s",
    summary="W+, pixels and LPIPS-VGG, kept near the mean by the Mahalanobis norm of P_N; Adam",
    reference=ZHU + "section 3",
    notes="As its code: searched in W+, P_N only in the penalty (its text searches in P_N+).",
    stages=(
        Stage((Variable("w+"),), (*LIKENESS, Term("mahalanobis", 1e-3, variable="w+")), 1300, SLOW),
    ),
)
PN_PLUS = Preset(
    name="pn-plus",
    summary="the same search in P_N+ itself, penalised by the mean square of its coordinates",
    reference=ZHU + "section 3.2",
    notes="The text's space; the released code only penalises with it (preset ii2s).",
    stages=(
        Stage(
            variables=(Variable("w+", codec="pn"),),
            terms=(*LIKENESS, Term("gaussian", 1e-3, variable="w+")),
            steps=1300,
            solver=SLOW,
        ),
    ),
)

PULSE = Preset(
    name="pulse",
    summary="Gaussianised rows on their spheres; pixels of a small picture, and GEOCROSS; Adam",
    checked="rows keep their lengths to 1e-6",
    reference="Menon et al. 2020, PULSE, section 3 and equation 3; constants of its code",
    notes=(
        "Squares of [-1, 1] are 4 times those of [0, 1]: 100 and 0.002 become 25 and 0.008. Small "
        "pictures are compared by area means: the code's bicubic kernel is the operator 'down'. "
        "Rows start as draws of the mapping, one each (there: normal coordinates). The code also "
        "moves its first 5 noise maps: here the stored ones stay."
    ),
    stages=(
        Stage(
            variables=(Variable("z+", init=InitSpec("prior")),),
            terms=(Term("mse", 25.0),),
            steps=1,
            solver=SolverSpec("sgd", learning_rate=1e-12),
        ),
        Stage(
            variables=(Variable("w+", codec="gaussianized", init=PREVIOUS),),
            terms=(Term("mse", 25.0, floor=0.008), Term("geocross", 0.05, variable="w+")),
            steps=100,
            solver=SolverSpec("adam", learning_rate=0.4, schedule=Schedule("one_cycle_drop")),
            hooks=(Hook("sphere", "w+"),),
        ),
    ),
)

PIE = Preset(
    name="pie",
    summary="one w first, then one w per layer from there: hierarchical W, then W+",
    reference="Tewari et al. 2020, PIE: Portrait Image Embedding, section 4.3",
    notes=(
        "No code was released. Of its energies only those of the likeness (pixels and VGG) are "
        "here; weights, layers and steps are not verified. Its face model is not part of this."
    ),
    stages=(
        Stage(
            (Variable("w"),),
            LAYERED,
            2000,
            SLOW,
        ),
        Stage(
            (Variable("w+", init=PREVIOUS),),
            LAYERED,
            1000,
            SLOW,
        ),
    ),
)

GAN_ENSEMBLING = Preset(
    name="gan-ensembling",
    summary="W+ by absolute differences and LPIPS, in halves; L-BFGS, 500 evaluations",
    reference="Chai et al. 2021, Ensembling with Deep Generative Views, section 3.1",
    notes=(
        "The code starts at an encoder (give `starts`) and adds 0.25 of its cycle, which is left "
        "out; LPIPS by VGG is not verified. Its solver makes 10 line-search evaluations a step."
    ),
    stages=(
        Stage(
            (Variable("w+"),),
            (Term("l1", 0.5), Term("lpips", 0.5, net="vgg16", view=View(256))),
            500,
            SolverSpec("lbfgs"),
        ),
    ),
)

IN_DOMAIN = "Zhu et al. 2020, In-Domain GAN Inversion for Real Image Editing, arXiv:2004.00049, "
IDINVERT = Preset(
    name="idinvert",
    summary="W+ from a learned start, held near it; pixels and VGG-16 relu4_3; Adam",
    reference=IN_DOMAIN + "section 3.2; constants of its code",
    notes=(
        "The code starts at its encoder E (give `starts`) and adds 2 (w - E(G(w)))^2: here a "
        "regression on pictures of the generator gives the start, and w is held near that. Its "
        "5e-5 of VGG is for inputs to 255; 0.16 allows for their scale, not for the biases. With "
        "a mask its code leaves out the last term."
    ),
    stages=(
        Stage(
            variables=(Variable("w+", init=InitSpec("learned")),),
            terms=(
                Term("mse", 1.0),
                Term("features", 0.16, net="vgg16", layers=("relu4_3",), view=View(256)),
                Term("anchor", 2.0, variable="w+"),
            ),
            steps=100,
            solver=SLOW,
        ),
    ),
)
