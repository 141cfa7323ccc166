"""Encoders that learn codes, or pictures through a frozen generator: before pSp, and beside it."""

from __future__ import annotations

from jaxinv.specs import (
    AdversarySpec,
    EncoderPlan,
    EncoderPreset,
    PictureSource,
    Schedule,
    SolverSpec,
    Term,
    View,
)

SEEN = View(256, min_size=64)
PIXELS = Term("mse", 1.0, view=View(256))
REAL, DRAWN = PictureSource("real", flip=True), PictureSource("synthetic")
KNOWN = Term("latent", 1.0, variable="z")

PERARNAU = "Perarnau et al. 2016, ICGAN, arXiv:1611.06355, section 3.2; constants of its code"
FIVES = (("width", 32), ("slope", "relu"), ("first_norm", True), ("hidden", 512))
SLOW = SolverSpec("adam", 1e-4, options=(("b1", 0.1),))
ICGAN_Z = EncoderPreset(
    name="icgan-z",
    plan=EncoderPlan("dcgan", "dcgan-dense", side=64, outputs=("z",), base="zeros", facts=FIVES),
    terms=(KNOWN,),
    source=DRAWN,
    solver=SLOW,
    batch=64,
    steps=28_000,
    summary="strided 5x5 convolutions and two dense layers to z, of pictures whose z is known",
    reference=PERARNAU,
    notes="There from 120,000 stored pictures, 15 times over; here every picture is new.",
)
ICGAN_Y = EncoderPreset(
    name="icgan-y",
    plan=EncoderPlan(
        "dcgan", "dcgan-dense", side=64, outputs=("label",), base="zeros", facts=FIVES
    ),
    terms=(Term("latent", 1.0, variable="label"),),
    source=PictureSource("real"),
    solver=SLOW,
    batch=64,
    steps=28_000,
    summary="the same network to the attributes of real pictures, for conditional generators",
    reference=PERARNAU,
)

ZHU = EncoderPreset(
    name="zhu2016",
    plan=EncoderPlan(
        "dcgan",
        "dcgan-dense",
        side=64,
        outputs=("z",),
        base="zeros",
        facts=(("width", 128), ("last", 8), ("bounded", True)),
    ),
    terms=(PIXELS, Term("features", 0.002, net="alexnet", layers=("conv4",), view=SEEN)),
    source=PictureSource("real"),
    solver=SolverSpec(
        "adamw",
        2e-4,
        Schedule("one_cycle_drop", low=0.5, drop=0.6),
        options=(("b1", 0.5), ("weight_decay", 1e-5)),
    ),
    batch=128,
    steps=20_000,
    summary="strided 5x5 convolutions to z in (-1, 1); pixels and AlexNet conv4 of real pictures",
    reference="Zhu et al. 2016, arXiv:1609.03552, section 3.2; constants of its code",
    notes="Its rate stays for 15 to 25 epochs and then falls in a line; here it rises first.",
)

NPGD = EncoderPreset(
    name="npgd-projector",
    plan=EncoderPlan("dcgan", "dcgan-dense", side=64, outputs=("z",), base="zeros"),
    terms=(Term("mse", 1.0), Term("latent", 0.1, variable="z")),
    source=PictureSource("synthetic", noise=1.0),
    solver=SolverSpec("adam", 1e-4),
    batch=64,
    steps=50_000,
    summary="z of noisy pictures, whose clean ones are compared: the projector of NPGD",
    reference="Raj et al. 2019, arXiv:1910.13427, section 3; constants of its code",
    notes="Not verified: widths, the number of steps.",
)

BAU = "Bau et al. 2019, Seeing What a GAN Cannot Generate, arXiv:1910.11626, section 3.1; "
LAYERS = EncoderPlan("resnet-18", "layer-inverses", least_side=32, outputs=("z",), base="zeros")
TURNED = Term("latent", 1.0, variable="z", distance="cosine")
OF_DIRECTION = "Codes are compared by their direction, which is all that PGGAN looks at. "
GANSEEING_LAYERS = EncoderPreset(
    name="ganseeing-layers",
    plan=LAYERS,
    terms=(
        TURNED,
        Term("aside", 1.0, distance="cosine"),
        Term("redrawn", 0.01, distance="cosine"),
    ),
    source=DRAWN,
    solver=SolverSpec("adam", 1e-3),
    batch=32,
    steps=100_000,
    summary="an inverse of each of the first layers, and a ResNet-18 that looks down to them",
    reference=BAU + "constants of its code",
    notes=OF_DIRECTION
    + (
        "Its code compares layers by 1 - cosine, as here; paper and survey write l1. All inverses "
        "learn at once, each from true features. Not verified: the rate."
    ),
)
GANSEEING_ENCODER = EncoderPreset(
    name="ganseeing-encoder",
    plan=LAYERS,
    terms=(TURNED,),
    source=DRAWN,
    solver=SolverSpec("adam", 1e-5),
    batch=32,
    steps=100_000,
    continues="ganseeing-layers",
    summary="the inverses of ganseeing-layers one after the other, tuned together",
    reference=BAU + "constants of its code",
    notes=OF_DIRECTION + "Not verified: what is compared; with an optional loss of pictures there.",
)

CHAI = "Chai et al. 2021, latent composition, arXiv:2103.10426, section 3; constants of its code"
HIDDEN = PictureSource("synthetic", masks=True)
GENTLE = SolverSpec("adam", 1e-4, options=(("b1", 0.5),))
SHOWN = ("image", "mask")
VGG = Term("lpips", 1.0, net="vgg16", view=SEEN)
MASKED_PLAN = EncoderPlan(
    "masked-resnet-34", "pooled-dense", planes=SHOWN, resize="area", base="zeros"
)
WHOLE = (Term("latent", 1.0, variable="w+"), PIXELS, VGG)
COMPOSITION = EncoderPreset(
    name="latent-composition",
    plan=MASKED_PLAN,
    terms=WHOLE,
    source=HIDDEN,
    solver=GENTLE,
    batch=8,
    steps=1_000_000,
    summary="w+ of pictures with holes, by a ResNet-34: known codes, pixels and LPIPS of the whole",
    reference=CHAI,
    notes="For faces its code adds an identity loss of weight 1.",
)
ENSEMBLING = EncoderPreset(
    name="gan-ensembling-encoder",
    plan=MASKED_PLAN,
    terms=WHOLE,
    source=HIDDEN,
    solver=GENTLE,
    batch=8,
    steps=1_000_000,
    summary="latent-composition, where the search of gan-ensembling starts",
    reference="Chai et al. 2021, Ensembling with Deep Generative Views, arXiv:2104.14551",
    notes="For faces its code adds an identity loss of weight 1.",
)
COMPOSITION_Z = EncoderPreset(
    name="latent-composition-z",
    plan=EncoderPlan(
        "masked-resnet-18",
        "pooled-dense",
        planes=SHOWN,
        resize="area",
        outputs=("z",),
        base="zeros",
        facts=(("offset", -0.5),),
    ),
    terms=(Term("latent", 1.0, variable="z", distance="cosine"), PIXELS, VGG),
    source=HIDDEN,
    solver=GENTLE,
    batch=16,
    steps=500_000,
    summary="z of pictures with holes, by a ResNet-18: for PGGAN",
    reference=CHAI,
)

FOURTHS = Schedule("exponential", rate=0.4096)  # 0.8 for every quarter
STEADY = SolverSpec("adam", 1e-4, FOURTHS, options=(("b1", 0.9), ("b2", 0.99)))
IN_DOMAIN = (
    PIXELS,
    Term("features", 0.16, net="vgg16", layers=("conv4_3",), view=SEEN),
    Term("realism", 0.08),
)
JUDGE = AdversarySpec(
    "images", SolverSpec("adam", 1e-4, FOURTHS, options=(("b1", 0.9), ("b2", 0.99))), 10.0, 1, 0
)
SCALED = "Its 5e-5 of VGG is for inputs to 255; 0.16 allows for their scale, not for the biases. "
IDINVERT = EncoderPreset(
    name="idinvert-encoder",
    plan=EncoderPlan("pooled-blocks", "dense", base="zeros"),
    terms=IN_DOMAIN,
    source=REAL,
    solver=STEADY,
    batch=128,
    steps=109_375,
    critics=(JUDGE,),
    summary="w+ of real pictures through the generator: pixels, VGG-16 and its own discriminator",
    reference="Zhu et al. 2020, IDInvert, arXiv:2004.00049, section 3.1; constants of its code",
    notes=SCALED + "14 million pictures.",
)
GHFEAT = EncoderPreset(
    name="ghfeat",
    plan=EncoderPlan(
        "resnet-50-deeper",
        "style-scales",
        "fpn-aligned",
        least_side=64,
        outputs=("s",),
        base="zeros",
        groups=(0.29, 0.29),
    ),
    terms=IN_DOMAIN,
    source=REAL,
    solver=STEADY,
    batch=96,
    steps=145_833,
    critics=(JUDGE,),
    summary="the styles of all layers, by a ResNet-50 and an aligned pyramid; as idinvert-encoder",
    reference="Xu et al. 2021, GH-Feat, arXiv:2007.10379, section 3; constants of its code",
    notes=SCALED + "Of 14 layers the first 4 and the next 4 come from the two coarser maps.",
)
