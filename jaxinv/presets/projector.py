"""Projection of images into StyleGAN as first published: W with noise maps, and W+."""

from __future__ import annotations

from jaxinv.specs import (
    Hook,
    InitSpec,
    Jitter,
    Preset,
    Schedule,
    SolverSpec,
    Stage,
    Term,
    Variable,
    View,
)

SEEN = Term("lpips", 1.0, net="vgg16", view=View(256))
NOISE = Variable("noise", init=InitSpec("prior"))
CALM_NOISE = Term("noise_autocorrelation", 1e5)
RAMPED = SolverSpec("adam", learning_rate=0.1, schedule=Schedule("nv_ramp"))
SHAKEN = Jitter(scale=0.05, schedule=Schedule("quadratic_decay", until=0.75))
KARRAS = "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, appendix D"

PROJECTION = Stage(
    variables=(Variable("w"), NOISE),
    terms=(SEEN, CALM_NOISE),
    steps=1000,
    solver=RAMPED,
    hooks=(Hook("standardize", "noise"),),
    jitter=SHAKEN,
    keep="last",
)
STYLEGAN2_PROJECTOR = Preset(
    name="stylegan2-projector",
    summary="one w, jittered, with regularised noise maps; LPIPS-VGG at 256 px; Adam, ramped",
    checked="ramp in closed form; maps of mean 0 and variance 1",
    reference=KARRAS,
    stages=(PROJECTION,),
)

STYLEGAN2_PROJECTOR_PLUS = Preset(
    name="stylegan2-projector-w+",
    summary="the projector of StyleGAN2 with one w per layer (W+)",
    checked="ramp in closed form; maps of mean 0 and variance 1",
    reference=KARRAS + ", as rosinality's port offers it",
    notes="The port's optional pixel term is left out, as it is by default there.",
    stages=(
        Stage(
            variables=(Variable("w+"), NOISE),
            terms=(SEEN, CALM_NOISE),
            steps=1000,
            solver=RAMPED,
            hooks=(Hook("standardize", "noise"),),
            jitter=SHAKEN,
            keep="last",
        ),
    ),
)

STYLEGAN3_PROJECTOR = Preset(
    name="stylegan3-projector",
    summary="the projector of StyleGAN2 without noise maps, for generators that have none",
    reference=KARRAS,
    stages=(
        Stage(
            variables=(Variable("w"),),
            terms=(SEEN,),
            steps=1000,
            solver=RAMPED,
            jitter=SHAKEN,
            keep="last",
        ),
    ),
)
