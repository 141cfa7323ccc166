"""A part of one picture in another, made one: semantic diffusion, harmonisation, face swapping."""

from __future__ import annotations

from jaxinv.presets.everyday import CALM, CODE, LEAST, SOLVER
from jaxinv.presets.transfer import INSIDE, OUTSIDE
from jaxinv.specs import InitSpec, MaskSpec, Preset, SolverSpec, Stage, Term, Variable, View

PREVIOUS = InitSpec("previous")
VGG = ("features", 0.16, "vgg16", ("relu4_3",), View(256))
PASTED = (
    Term("mse", mask=INSIDE, target="pasted"),
    Term(*VGG, mask=INSIDE, target="pasted"),
)
AROUND = (Term("mse", mask=OUTSIDE), Term(*VGG, mask=OUTSIDE))
GIVEN = "The picture 'pasted' and the mask 'inside' come from the call (`jaxinv diffuse`). "
SEMANTIC_DIFFUSION = Preset(
    name="semantic-diffusion",
    summary="a part of another picture, then what belongs around it: W+, pixels and VGG-16",
    reference="Zhu et al. 2020, IDInvert, arXiv:2004.00049, section 4.4; constants of its code",
    notes=(
        GIVEN + "The first stage finds the picture with the part pasted in, in the place of that "
        "paper's encoder; in the second only the part counts, and the rest follows. Its 5e-5 of "
        "VGG is for inputs to 255; 0.16 allows for their scale, not for the biases."
    ),
    masks=(MaskSpec(INSIDE),),
    stages=(
        Stage(
            (Variable("w+", codec="whiten"),),
            (*PASTED, *AROUND, Term("gaussian", 0.01, variable="w+")),
            60,
            SOLVER,
        ),
        Stage(
            (Variable("w+", init=PREVIOUS),),
            PASTED,
            100,
            SolverSpec("adam", learning_rate=0.01),
        ),
    ),
)
HARMONIZE = Preset(
    name="harmonize",
    summary="a picture with a part of another, as the generator would draw both: W+ by the prior",
    reference="Xu et al. 2021, GH-Feat, arXiv:2007.10379, section 4.2",
    notes=(
        GIVEN + "That paper encodes the picture with the part pasted in, and its decoder makes it "
        "one. Here a search near the mean of W does, which all rows of a code share."
    ),
    masks=(MaskSpec(INSIDE),),
    stages=(
        Stage(
            (Variable("w+", codec="whiten"),),
            (
                *PASTED,
                *AROUND,
                Term("gaussian", 0.03, variable="w+"),
                Term("row_spread", 0.03, variable="w+"),
            ),
            100,
            SOLVER,
        ),
    ),
)

# Face swapping: the image gives pose, expression and surroundings, "identity" the person.
FACE, BESIDE = "face", "not face"
SEEN, BOX = View(256, min_size=256), View(crop=(0.28, 0.2, 0.6, 0.6))
KEPT = (
    Term("mse", 3.0, view=View(512), mask=BESIDE),
    Term("lpips", 1.0, net="alexnet", view=SEEN, mask=BESIDE),
    Term("embedding", 300.0, net="face-landmarks", view=BOX),
)
FOUND = (
    Term("mse", 3.0, view=View(512)),
    Term("lpips", 1.0, net="alexnet", view=SEEN),
)
INVERTED = Stage(CODE, (*FOUND, *CALM), 60, SOLVER)
MOVED = (Variable("w+", codec="preconditioned", init=PREVIOUS),)
MEGAFS = "Zhu et al. 2021, MegaFS, One Shot Face Swapping on Megapixels, arXiv:2105.04932"
NET = (
    "The picture 'identity' comes from the call (`jaxinv swap`); landmarks come from `jaxinv pull "
    "attributes`. That paper trains encoders and a module that mixes rows of W+ of two faces; here "
    "a search moves the rows, by terms as its losses. Weights are not those of the paper. "
)
FACE_SWAP = Preset(
    name="face-swap",
    summary="a face with the inner features of another: VGG-16 inside, landmarks, pixels around",
    reference=MEGAFS + ", without a net of identities",
    notes=NET + "The person is told by deep layers of VGG-16 within the face.",
    enlarge=LEAST,
    masks=(MaskSpec(FACE, source="face"),),
    stages=(
        INVERTED,
        Stage(
            MOVED,
            (
                *KEPT,
                Term(
                    *("lpips", 1.5, "vgg16", ("relu3_3", "relu4_3", "relu5_3"), SEEN),
                    mask=FACE,
                    target="identity",
                ),
                *CALM,
            ),
            80,
            SOLVER,
        ),
    ),
)
MEGAFS_SEARCH = Preset(
    name="megafs",
    summary="a face with the identity of another: ArcFace, landmarks, pixels around",
    reference=MEGAFS + ", section 3.3",
    notes=NET + "Needs a converted ArcFace (`jaxinv convert model_ir_se50.pth --name arcface-ir`).",
    enlarge=LEAST,
    masks=(MaskSpec(FACE, source="face"),),
    stages=(
        INVERTED,
        Stage(
            MOVED,
            (
                *KEPT,
                Term(
                    *("embedding", 1.0, "arcface-ir"),
                    distance="cosine",
                    view=SEEN,
                    target="identity",
                ),
                Term("mse", 0.3, view=SEEN, mask=FACE),  # light and colour stay
                *CALM,
            ),
            80,
            SOLVER,
        ),
    ),
)
