"""Encoders that are trained on pictures, and how: pSp and its kin, and the library's own."""

from __future__ import annotations

from jaxinv.specs import (
    AdversarySpec,
    EncoderPlan,
    EncoderPreset,
    PictureSource,
    RowsInTurn,
    Schedule,
    SolverSpec,
    TargetSearch,
    Term,
    View,
)

EYE = View(256, min_size=256)  # published losses see pictures of 256 px, whatever the generator
L2 = Term("mse", 1.0, view=View(256))
LPIPS = Term("lpips", 0.8, net="alexnet", view=EYE)
IDENTITY = Term("embedding", 0.1, net="arcface-ir", distance="cosine", view=EYE)
SIMILARITY = Term("embedding", 0.5, net="moco-resnet50", distance="cosine", view=EYE)
FACES, OTHERS = (L2, LPIPS, IDENTITY), (L2, LPIPS, SIMILARITY)
REAL = PictureSource("real", flip=True, fresh_noise=True)
RANGER = SolverSpec("ranger", 1e-4, options=(("b1", 0.95), ("eps", 1e-5), ("centralize", 1)))
COARSE_AND_MIDDLE = (3, 4)  # rows of the two coarsest maps, in every size of StyleGAN
LOOKS = ("image", "reconstruction")
BACKBONE = "There the backbone starts as a recogniser of faces or objects; here at random weights. "

ENCODER = EncoderPreset(
    name="encoder",
    plan=EncoderPlan(
        "resnet-18",
        "pooled",
        side=128,
        resize="area",
        outputs=("w+", "z"),
        facts=(("width", 32),),
    ),
    terms=(
        Term("latent", 1.0, variable="w+"),
        Term("mse", 1.0, view=View(128)),
        Term("lpips", 0.5, net="alexnet", view=View(128, min_size=64)),
    ),
    source=PictureSource("either"),
    solver=SolverSpec("adam", 1e-3, Schedule("cosine")),
    batch=8,
    steps=20_000,
    average=0.99,
    summary="the quick one: a narrow ResNet-18 of 128 px; known codes, pixels and LPIPS",
    reference="this library; losses after Chai et al. 2021, latent composition, section 3.2",
)

START = EncoderPreset(
    name="start",
    plan=EncoderPlan(
        "alexnet",
        "linear",
        side=128,
        least_side=64,
        resize="area",
        outputs=("w", "z"),
        facts=(("pretrained", "alexnet"),),
    ),
    terms=(Term("latent", 1.0, variable="w"),),
    source=PictureSource("synthetic"),
    solver=SolverSpec("adam", 3e-4, Schedule("cosine")),
    batch=16,
    steps=600,
    summary="the smallest: a linear map of a thumbnail and of AlexNet's features to one w",
    reference="this library: the learned start of the everyday presets, of more pictures",
    notes="Where drawing is slow, `--stored 1000` draws that many pictures and goes over them.",
)

PSP_PLAN = EncoderPlan("ir-se-50", "map2style", "fpn", groups=COARSE_AND_MIDDLE)
RICHARDSON = "Richardson et al. 2021, pSp, arXiv:2008.00951, section 3; constants of its code"
PSP = EncoderPreset(
    name="psp",
    plan=PSP_PLAN,
    terms=FACES,
    source=REAL,
    solver=RANGER,
    steps=500_000,
    summary="IR-SE-50, a pyramid and a small network per row; pixels, LPIPS, identity: for faces",
    reference=RICHARDSON,
    notes=BACKBONE,
)
PSP_MOCO = EncoderPreset(
    name="psp-moco",
    plan=PSP_PLAN,
    terms=OTHERS,
    source=REAL,
    solver=RANGER,
    steps=500_000,
    summary="psp for what are no faces: similarity by MoCo in the place of identity",
    reference=RICHARDSON,
    notes=BACKBONE,
)
PSP_W = EncoderPreset(
    name="psp-w",
    plan=EncoderPlan("ir-se-50", "pooled", outputs=("w",)),
    terms=FACES,
    source=REAL,
    solver=RANGER,
    steps=500_000,
    summary="IR-SE-50, means of its last map and a linear layer to one w",
    reference=RICHARDSON,
    notes=BACKBONE,
)

NEAR_W = (Term("delta_norm", 2e-4), Term("code_realism", 0.1, variable="w+"))
CRITIC = AdversarySpec("codes")
TOV = "Tov et al. 2021, e4e, arXiv:2102.02766, section 4; constants of its code"
MEANS = "Its term counts all rows, also those that do not differ yet; there these are left out. "
E4E_PLAN = EncoderPlan("ir-se-50", "deltas", "fpn", groups=COARSE_AND_MIDDLE)
E4E = EncoderPreset(
    name="e4e",
    plan=E4E_PLAN,
    terms=(*FACES, *NEAR_W),
    source=REAL,
    solver=RANGER,
    steps=200_000,
    rows=RowsInTurn(start=0.1, every=0.01),
    critics=(CRITIC,),
    summary="psp with one w and what other rows differ by, kept near W by a critic: for faces",
    reference=TOV,
    notes=BACKBONE + MEANS,
)
E4E_MOCO = EncoderPreset(
    name="e4e-moco",
    plan=E4E_PLAN,
    terms=(*OTHERS, *NEAR_W),
    source=REAL,
    solver=RANGER,
    steps=200_000,
    rows=RowsInTurn(start=0.1, every=0.01),
    critics=(CRITIC,),
    summary="e4e for what are no faces: similarity by MoCo in the place of identity",
    reference=TOV,
    notes=BACKBONE + MEANS,
)

LSAP = EncoderPreset(
    name="lsap",
    plan=E4E_PLAN,
    terms=(*FACES, Term("delta_norm", 2e-4), Term("style_alignment", 0.5, variable="w+")),
    source=REAL,
    solver=RANGER,
    steps=200_000,
    rows=RowsInTurn(start=0.1, every=0.0005),
    summary="e4e kept near W by the directions of its styles, without a critic: for faces",
    reference="Cao et al. 2022, LSAP, arXiv:2209.12746, section 3; constants of its code",
    notes=BACKBONE
    + (
        "Its term is a mean over all styles times the rows; there it sums those of rows that "
        "differ already. Not verified: the number of steps."
    ),
)

ALALUF = "Alaluf et al. 2021, ReStyle, arXiv:2104.02699, section 3; constants of its code"
RESTYLE_PSP = EncoderPreset(
    name="restyle-psp",
    plan=EncoderPlan("ir-se-50", "map2style", planes=LOOKS, passes=5),
    terms=FACES,
    source=REAL,
    solver=RANGER,
    steps=500_000,
    summary="psp from the last map, 5 looks at the picture and what is drawn so far: for faces",
    reference=ALALUF,
    notes=BACKBONE,
)
RESTYLE_PSP_MOCO = EncoderPreset(
    name="restyle-psp-moco",
    plan=EncoderPlan("resnet-34", "map2style", planes=LOOKS, passes=5),
    terms=OTHERS,
    source=REAL,
    solver=RANGER,
    steps=500_000,
    summary="restyle-psp with a ResNet-34 and similarity by MoCo: for what are no faces",
    reference=ALALUF,
    notes=BACKBONE,
)
RESTYLE_E4E = EncoderPreset(
    name="restyle-e4e",
    plan=EncoderPlan("ir-se-50", "deltas", planes=LOOKS, passes=5),
    terms=(*FACES, *NEAR_W),
    source=REAL,
    solver=RANGER,
    steps=200_000,
    rows=RowsInTurn(start=0.1, every=0.01),
    critics=(CRITIC,),
    summary="e4e from the last map, 5 looks at the picture and what is drawn so far: for faces",
    reference=ALALUF,
    notes=BACKBONE + "Its critic sees the codes that count; there those lack the mean of W.",
)
RESTYLE_E4E_MOCO = EncoderPreset(
    name="restyle-e4e-moco",
    plan=EncoderPlan("resnet-34", "deltas", planes=LOOKS, passes=5),
    terms=(*OTHERS, *NEAR_W),
    source=REAL,
    solver=RANGER,
    steps=200_000,
    rows=RowsInTurn(start=0.1, every=0.01),
    critics=(CRITIC,),
    summary="restyle-e4e with a ResNet-34 and similarity by MoCo: for what are no faces",
    reference=ALALUF,
    notes=BACKBONE + "Its critic sees the codes that count; there those lack the mean of W.",
)

DEEP_IDENTITY = Term(
    "embedding",
    0.5,
    net="arcface-ir",
    layers=("unit3", "unit7", "unit21", "unit24", "vector"),
    distance="cosine",
    view=EYE,
)
WEI = "Wei et al. 2022, E2Style, arXiv:2104.07661, section 3; constants of its code"
PARSED = (
    "Without its term of a face parser's five feature maps, weight 1: the parser here names none. "
)
WEI_FIRST = EncoderPreset(
    name="wei",
    plan=EncoderPlan("ir-se-50", "pooled-levels", groups=(0.5, 0.28)),
    terms=(L2, LPIPS, DEEP_IDENTITY),
    source=REAL,
    solver=RANGER,
    batch=4,
    steps=300_000,
    summary="IR-SE-50 and a dense layer over each of three pooled maps; identity at five depths",
    reference=WEI,
    notes=BACKBONE + PARSED,
)
WEI_REFINE = EncoderPreset(
    name="wei-refine",
    plan=EncoderPlan("ir-se-50", "pooled-levels", groups=(0.5, 0.28), planes=LOOKS, base="before"),
    terms=(L2, LPIPS, DEEP_IDENTITY),
    source=REAL,
    solver=RANGER,
    batch=4,
    steps=300_000,
    before="wei",
    summary="what a second encoder adds to the code of the first, which stays; a third likewise",
    reference=WEI,
    notes=BACKBONE + PARSED,
)

FOUND = (Term("mse", 1.0, view=View(256)), Term("lpips", 1.0, net="vgg16", view=EYE))
GUAN = EncoderPreset(
    name="guan",
    plan=PSP_PLAN,
    terms=(Term("latent", 1.0, variable="w+"), *FOUND),
    source=PictureSource("real", flip=True),
    solver=SolverSpec("adam", 1e-4),
    steps=200_000,
    search=TargetSearch(FOUND, SolverSpec("adam", 1e-2), 100),
    summary="learns what a search of 100 steps from its own code finds, and the picture of that",
    reference="after Guan et al. 2020, Collaborative Learning, arXiv:2007.01758, section 3",
    notes=BACKBONE
    + (
        "Its network is that of psp; there two backbones, of identity and attributes, are joined. "
        "Not verified: all weights and rates, the steps of the search and of the training."
    ),
)
