"""Encoders that are told what to change: an identity, an attribute, an edit of their code."""

from __future__ import annotations

from jaxinv.presets.code_encoders import JUDGE
from jaxinv.presets.encoders import BACKBONE, EYE, FACES, IDENTITY, RANGER
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

FACE = (0.28, 0.2, 0.6, 0.6)  # top, left, height, width
AGE = Term("attribute", 1.0, net="face-age-gender", layers=("age",), view=View(crop=FACE))
STYLERIG = EncoderPreset(
    name="stylerig",
    plan=EncoderPlan("none", "rig", planes=("attribute",), side=8, resize="area", base="before"),
    terms=(Term("latent", 1.0, variable="w+", when="same"), AGE, IDENTITY),
    source=PictureSource("either", kept=0.3333, coded=True),
    solver=SolverSpec("adam", 1e-4),
    batch=8,
    steps=100_000,
    before="e4e",
    back=1.0,
    summary="what is added to a code to make its face so old: a narrow linear map, and back again",
    reference="after Tewari et al. 2020, StyleRig, arXiv:2004.00121, sections 4 and 5",
    notes=(
        "There the control is a group of parameters of a 3D face model (pose, expression, light) "
        "that a network reads from codes, and the other groups are to stay; here it is one number "
        "that a net reads from pictures, and identity is to stay. Another control is another term "
        "'attribute'. Codes are given in training; at other times the encoder before gives them. "
        "Not verified: weights, rates, steps."
    ),
)

NITZAN = EncoderPreset(
    name="nitzan",
    plan=EncoderPlan(
        "inception-v3",
        "identity-mlp",
        planes=("image", "identity"),
        least_side=80,
        outputs=("w",),
        base="zeros",
        facts=(("recogniser", "arcface-ir"),),
    ),
    terms=(
        Term("identity", 1.0, net="arcface-ir", distance="l1", view=EYE),
        Term("embedding", 0.001, net="face-landmarks", view=View(crop=FACE)),
        Term("ms_ssim", 0.0168, view=EYE, when="same"),
        Term("l1", 0.0032, view=EYE, when="same"),
        Term("code_realism", 0.5, variable="w"),
    ),
    source=PictureSource("synthetic", crossed=0.3333),
    solver=SolverSpec("adam", 5e-5),
    batch=6,
    steps=500_000,
    critics=(AdversarySpec("codes", SolverSpec("adam", 2e-5), 10.0, 1, 0, 5),),
    summary="one w of a person's identity and of what else is in another picture, by Inception-v3",
    reference="Nitzan et al. 2020, arXiv:2005.07728, section 3; constants of its code",
    notes=(
        "Its 70,000 drawn pictures are drawn anew here; every third batch is crossed, there every "
        "third epoch. Its critic narrows by layers, its l1 is weighted by a Gaussian, and "
        "its landmarks are another net's, in its units. Not verified: the steps."
    ),
)

PEHLIVAN = "Pehlivan et al. 2023, StyleRes, arXiv:2212.14359, section 3"
STYLERES = EncoderPreset(
    name="styleres",
    plan=EncoderPlan("ir-se-50", "moved-residual", outputs=("w+", "w"), base="before"),
    terms=(
        Term("mse", 1.0, view=View(256), when="same"),
        Term("lpips", 0.8, net="alexnet", view=EYE, when="same"),
        Term("embedding", 0.1, net="arcface-ir", distance="cosine", view=EYE, when="same"),
        Term("realism", 0.1),
    ),
    source=PictureSource("real", flip=True, moved=0.5),
    solver=SolverSpec("adam", 1e-4),
    batch=8,
    steps=100_000,
    before="e4e",
    back=1.0,
    critics=(JUDGE,),
    summary="what an e4e code lacks, moved to where its edit has it: features at 64 px, and back",
    reference="after " + PEHLIVAN,
    notes=(
        BACKBONE + "Its training was not published. An edit is undone by a second look, and the "
        "first picture is compared; edits go towards random codes, in a range of rows. Not "
        "verified: its networks, all weights, rates and steps."
    ),
)

BOBKOV = (
    "Bobkov et al. 2024, StyleFeatureEditor, arXiv:2406.10601, section 3; constants of its code"
)
LATER = Schedule("multi_step", points=((1e-6, 0.0), (0.15, 1.0)))
SFE = EncoderPreset(
    name="sfe",
    plan=EncoderPlan("iresnet-50", "styles-fused", least_side=128),
    terms=(*FACES, Term("realism", 0.01, schedule=LATER), Term("aside", 0.01)),
    source=PictureSource("real", flip=True),
    solver=RANGER,
    steps=300_000,
    alone=1.0,
    critics=(JUDGE,),
    summary="w+ and features at 64 px, joined with those of the w+: the inverter, phase 1",
    reference=BOBKOV,
    notes=(
        BACKBONE + "Not verified: the network that joins features, the layer, and that these are "
        "held to those of the code by the term of weight 0.01."
    ),
)
SFE_EDITOR = EncoderPreset(
    name="sfe-editor",
    plan=EncoderPlan(
        "none", "edited-features", side=8, resize="area", outputs=("w+",), base="before"
    ),
    terms=(*FACES, Term("realism", 0.01)),
    source=PictureSource("synthetic", moved=1.0, pairs=True),
    solver=RANGER,
    steps=200_000,
    before="sfe",
    critics=(JUDGE,),
    summary="what an edit of the code changes in the features of sfe, which stays: phase 2",
    reference=BOBKOV,
    notes=(
        "There pairs are drawn of e4e codes of photographs and of their edits by known directions; "
        "here of random codes, and of these moved towards others in a range of rows. Not verified: "
        "the network."
    ),
)
