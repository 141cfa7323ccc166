"""Parts of several pictures in one: local style transfer, crossover, hair transfer."""

from __future__ import annotations

from jaxinv.presets.embedding import ABDAL, PREVIOUS, SLOW
from jaxinv.presets.projector import CALM_NOISE, NOISE, RAMPED, SHAKEN
from jaxinv.specs import Hook, InitSpec, MaskSpec, Preset, SolverSpec, Stage, Term, Variable, View

SEEN = View(256)
INSIDE, OUTSIDE = "inside", "not inside"
LAYERS = ("conv1_1", "conv1_2", "conv2_2", "conv3_3")
FREE_NOISE = (Variable("noise"),)
QUICK = SolverSpec("adam", learning_rate=5.0)
SEARCH = SolverSpec("lbfgs", options=(("history", 40), ("initial_scale", 2.0), ("adapt", 5)))
ALIKE = (
    Term("mse", mask=INSIDE),
    Term("features", 1.0, "vgg16", LAYERS, SEEN, mask=INSIDE),
)
STYLE = Term(
    *("features", 1.0, "vgg16", ("conv3_3",), SEEN),
    distance="style",
    mask=OUTSIDE,
    target="style",
    target_mask=OUTSIDE,
)
LOCAL_STYLE_TRANSFER = Preset(
    name="local-style-transfer",
    summary="the image inside a mask and the style of another picture outside; W+, then noise",
    checked="a stage that is held to its start moves nothing there",
    reference=ABDAL + "local style transfer (Xia et al. 2022, survey, equations 32 and 33)",
    notes=(
        "The picture 'style' and the mask 'inside' come from the call; blur the mask's border. The "
        "two terms of equation 32 are lowered together. The noise maps start as they are stored. "
        "Not verified: VGG layers, weights, steps."
    ),
    masks=(MaskSpec(INSIDE),),
    stages=(
        Stage((Variable("w+"),), (*ALIKE, STYLE), 5000, SLOW),
        Stage(
            FREE_NOISE,
            (
                Term("mse", reduction="sum", mask=INSIDE),
                Term("mse", reduction="sum", mask=OUTSIDE, target="start"),
            ),
            3000,
            QUICK,
        ),
    ),
)
CROSSOVER = Preset(
    name="image2stylegan++-crossover",
    summary="the image inside a mask and another picture outside: W+, then noise maps",
    checked="two halves of pictures are fitted as the picture that is composed of them",
    reference=ABDAL + "image crossover",
    notes=(
        "The picture 'other' and the mask 'inside' come from the call; blur the mask's border. Not "
        "verified: VGG layers, weights, steps."
    ),
    masks=(MaskSpec(INSIDE),),
    stages=(
        Stage(
            (Variable("w+"),),
            (
                *ALIKE,
                Term("mse", mask=OUTSIDE, target="other"),
                Term("features", 1.0, "vgg16", LAYERS, SEEN, mask=OUTSIDE, target="other"),
            ),
            5000,
            SLOW,
        ),
        Stage(
            FREE_NOISE,
            (
                Term("mse", reduction="sum", mask=INSIDE),
                Term("mse", reduction="sum", mask=OUTSIDE, target="other"),
            ),
            3000,
            QUICK,
        ),
    ),
)

# LOHO: the image gives the face, "shape" the form of the hair, "hair" its colours and texture.
DEEP, STYLES = ("relu4_3", "relu5_3"), ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
ALIKE_LOHO = (
    Term("lpips", 1.0, "vgg16", view=SEEN, mask="face"),
    Term("lpips", 1.0, "vgg16", DEEP, SEEN, mask="shape", target="shape"),
    CALM_NOISE,
)
HAIR = (
    Term(
        *("features", 15000.0, "vgg16", STYLES, SEEN),
        distance="style",
        mask="shape",
        target="hair",
        target_mask="strands",
    ),
    Term(
        *("features", 40.0, "vgg16", ("relu1_1",), SEEN),
        distance="appearance",
        mask="shape",
        target="hair",
        target_mask="strands",
    ),
)
OWN_HAIR = (
    Term(
        *("features", 15000.0, "vgg16", STYLES, SEEN),
        distance="style",
        mask="shape",
        target="shape",
        target_mask="shape",
        removed_from="lpips-vgg16-shape-shape@256",
    ),
    Term(
        *("features", 40.0, "vgg16", ("relu1_1",), SEEN),
        distance="appearance",
        mask="shape",
        target="shape",
        target_mask="shape",
        removed_from="lpips-vgg16-shape-shape@256",
    ),
)
CALM = (Hook("standardize", "noise"),)
LOHO = Preset(
    name="loho",
    summary="a face with the form of another's hair and the colour of a third's; W+ and noise",
    checked="a gradient has nothing left along those that are removed from it, row by row",
    reference="Saha et al. 2021, LOHO, arXiv:2103.03891; constants of its code",
    notes=(
        "From the call: pictures 'shape' and 'hair' (they may be one), masks 'face' (of the "
        "image), 'shape' (hair of 'shape', where it will be) and 'strands' (hair of 'hair'). Its "
        "code erodes the masks: give them so. Each stage has a ramp of its own."
    ),
    masks=(MaskSpec("face"), MaskSpec("shape"), MaskSpec("strands")),
    stages=(
        Stage((Variable("w+"), NOISE), ALIKE_LOHO, 1000, RAMPED, CALM, SHAKEN, "last"),
        Stage(
            (Variable("w+", init=PREVIOUS), Variable("noise", init=PREVIOUS)),
            (*ALIKE_LOHO, *HAIR, *OWN_HAIR),
            1000,
            RAMPED,
            CALM,
            SHAKEN,
            "last",
        ),
    ),
)

# A photograph as one patch of a canvas: of five codes in a row, the rows of the third are its own.
IN_AND_OUT = Preset(
    name="in-and-out",
    summary="W+ of a canvas by pixels: the photograph's tile freely, its neighbours by the prior",
    reference="Cheng et al. 2022, In&Out, arXiv:2104.00675, section 3.2",
    notes=(
        "For `jaxinv extend`. That paper trains a generator of patches that is told their "
        "coordinates, with its own losses: here the place on the canvas is what a tile's noise "
        "and neighbours make of it. Not verified: weights, solver, steps."
    ),
    stages=(
        Stage(
            (Variable("w+", codec="whiten"),),
            (
                Term("mse"),
                Term("gaussian", 1e-4, variable="w+", row_range=(0.4, 0.6)),
                Term("gaussian", 0.02, variable="w+", row_range=(0.0, 0.4)),
                Term("gaussian", 0.02, variable="w+", row_range=(0.6, 1.0)),
            ),
            200,
            SEARCH,
        ),
    ),
)
SEMANTIC_SYNTHESIS = Preset(
    name="semantic-synthesis",
    summary="W+ by a mask that features tell, held near what the generator usually draws",
    reference="Endo & Kanamori 2021, arXiv:2103.14877; the search in place of its encoder",
    notes=(
        "For `jaxinv synthesize`: pixels are colours of regions. That paper trains an encoder of "
        "masks, and mixes rows in afterwards."
    ),
    restarts=4,
    stages=(
        Stage(
            (Variable("w+", codec="whiten", init=InitSpec("prior")),),
            (
                Term("mse"),
                Term("gaussian", 0.05, variable="w+"),
                Term("row_spread", 0.1, variable="w+"),
            ),
            100,
            SEARCH,
        ),
    ),
)
