"""Encoders that change the inside of a generator, or the code of another encoder."""

from __future__ import annotations

from jaxinv.presets.code_encoders import JUDGE
from jaxinv.presets.encoders import (
    BACKBONE,
    COARSE_AND_MIDDLE,
    EYE,
    FACES,
    LOOKS,
    OTHERS,
    RANGER,
)
from jaxinv.specs import EncoderPlan, EncoderPreset, PictureSource, Schedule, SolverSpec, Term, View

ALALUF = "Alaluf et al. 2022, HyperStyle, arXiv:2111.15666, section 3; constants of its code"
FACTORS = EncoderPlan(
    "resnet-34",
    "weight-factors",
    planes=LOOKS,
    least_side=32,
    outputs=("w", "w+"),
    base="before",
    passes=5,
)
STILL = PictureSource("real", flip=True)
OF_W = "The encoder of w before it is psp-w, without e4e's terms of W."
HYPERSTYLE = EncoderPreset(
    name="hyperstyle",
    plan=FACTORS,
    terms=FACES,
    source=STILL,
    solver=RANGER,
    steps=120_000,
    before="psp-w",
    summary="factors of a StyleGAN2's kernels, 5 looks, for the w of another encoder: for faces",
    reference=ALALUF,
    notes=BACKBONE + OF_W,
)
HYPERSTYLE_MOCO = EncoderPreset(
    name="hyperstyle-moco",
    plan=FACTORS,
    terms=OTHERS,
    source=STILL,
    solver=RANGER,
    steps=120_000,
    before="psp-w",
    summary="hyperstyle for what are no faces: similarity by MoCo in the place of identity",
    reference=ALALUF,
    notes=BACKBONE + OF_W,
)

HYPERINVERTER = EncoderPreset(
    name="hyperinverter",
    plan=EncoderPlan(
        "kernel-maps",
        "added-weights",
        planes=LOOKS,
        resize_drawn="bilinear-plain",
        least_side=32,
        outputs=("w", "w+"),
        base="before",
        facts=(("hidden", 256),),
    ),
    terms=(*FACES, Term("realism", 0.005)),
    source=STILL,
    solver=SolverSpec("adam", 1e-4),
    steps=200_000,
    before="psp-w",
    critics=(JUDGE,),
    summary="what is added to a StyleGAN2's kernels, by one look at a face and at its w's",
    reference="Dinh et al. 2022, HyperInverter, arXiv:2112.00719, section 3; networks of its code",
    notes=(
        BACKBONE + "What is added counts in the usual size of a kernel. Not verified: which "
        "kernels, the hidden width, weights of terms, rates and steps."
    ),
)

HFGI = EncoderPreset(
    name="hfgi",
    plan=EncoderPlan(
        "aligned-residual",
        "scale-shift",
        planes=(*LOOKS, "edited"),
        resize_drawn="bilinear-clipped",
        outputs=("w+", "w"),
        base="before",
    ),
    terms=(*FACES, Term("aside", 0.1, distance="l1")),
    source=PictureSource("real", flip=True, fresh_noise=True, warp=0.15, warped=0.9),
    solver=RANGER,
    steps=100_000,
    before="e4e",
    summary="what the picture of an e4e code lacks, as scales and shifts of features at 64 px",
    reference="Wang et al. 2022, HFGI, arXiv:2109.06590, section 3; constants of its code",
    notes="A change of perspective is drawn for every picture; there one for the whole batch.",
)

DEPTHS = ("unit3", "unit7", "unit21", "unit24", "vector")
FEATURE_STYLE = EncoderPreset(
    name="featurestyle",
    plan=EncoderPlan("iresnet-50", "styles-content", least_side=128),
    terms=(
        Term("mse", 1.0, view=View(256), when="drawn"),
        Term("lpips", 0.2, net="alexnet", view=EYE),
        Term("lpips", 0.2, net="alexnet", view=View(128, min_size=128)),
        Term("lpips", 0.2, net="alexnet", view=View(64, min_size=64)),
        Term("embedding", 0.1, net="arcface-ir", layers=DEPTHS, distance="cosine", view=EYE),
    ),
    source=PictureSource("mixed", fresh_noise=True),
    solver=SolverSpec(
        "ranger",
        1e-4,
        Schedule("multi_step", points=((0.8333, 0.1),)),
        options=(("b1", 0.95), ("eps", 1e-5), ("centralize", 1)),
    ),
    batch=2,
    steps=120_000,
    fade=0.0833,
    summary="w+ and a map in the place of the features at 16 px, by an iResNet-50: for faces",
    reference=(
        "Yao et al. 2022, Feature-Style encoder, arXiv:2202.02183, section 3; constants of its code"
    ),
    notes=(
        "A batch is a drawn and a real picture, of which only the first counts in pixels; without "
        "files both are drawn. There the picture of the codes alone is compared too; without its "
        "term of a face parser."
    ),
)

CROP = (35 / 256, 32 / 256, 188 / 256, 188 / 256)  # top, left, height, width of the face
FACE = (0.28, 0.2, 0.6, 0.6)
SAM = EncoderPreset(
    name="sam",
    plan=EncoderPlan(
        "ir-se-50",
        "map2style",
        "fpn",
        planes=("image", "attribute"),
        base="before",
        groups=COARSE_AND_MIDDLE,
    ),
    terms=(
        Term("mse", 0.25, view=View(256)),
        Term("lpips", 0.1, net="alexnet", view=EYE),
        Term("mse", 1.0, view=View(188, crop=CROP)),
        Term("lpips", 0.6, net="alexnet", view=View(188, crop=CROP, min_size=188)),
        Term("embedding_at_gap", 0.1, net="arcface-ir", distance="cosine", view=EYE),
        Term("norm_from", 0.005, variable="w+"),
        Term("attribute", 5.0, net="face-age-gender", layers=("age",), view=View(crop=FACE)),
    ),
    source=PictureSource("real", flip=True, fresh_noise=True, kept=1 / 3),
    solver=RANGER,
    batch=6,
    steps=60_000,
    before="psp",
    back=1.0,
    summary="what is added to a psp code to make a face so old, there and back again",
    reference="Alaluf et al. 2021, SAM, arXiv:2102.02754, section 3; constants of its code",
    notes=BACKBONE + "Ages are those of a smaller net; there a VGG-16 tells them.",
)
