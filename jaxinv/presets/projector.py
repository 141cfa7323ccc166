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

STYLEGAN2_PROJECTOR = Preset(
    name="stylegan2-projector",
    summary="one w, jittered, with regularised noise maps; LPIPS-VGG at 256 px; Adam, ramped",
    reference=(
        "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, appendix D"
    ),
    restarts=1,
    stages=(
        Stage(
            variables=(Variable("w"), Variable("noise", init=InitSpec("prior"))),
            terms=(
                Term("lpips", 1.0, net="vgg16", view=View(256)),
                Term("noise_autocorrelation", 1e5),
            ),
            steps=1000,
            solver=SolverSpec("adam", learning_rate=0.1, schedule=Schedule("nv_ramp")),
            hooks=(Hook("standardise", "noise"),),
            jitter=Jitter(scale=0.05, schedule=Schedule("quadratic_decay", until=0.75)),
            keep="last",
        ),
    ),
)

IMAGE2STYLEGAN = Preset(
    name="image2stylegan",
    summary="one w per layer (W+); pixels and four VGG-16 layers at 256 px; Adam, constant rate",
    reference="Abdal et al. 2019, Image2StyleGAN, section 5 and equation 1",
    stages=(
        Stage(
            variables=(Variable("w+"),),
            terms=(
                Term("mse", 1.0),
                Term(
                    "features",
                    1.0,
                    net="vgg16",
                    layers=("conv1_1", "conv1_2", "conv3_2", "conv4_2"),
                    view=View(256),
                ),
            ),
            steps=5000,
            solver=SolverSpec("adam", learning_rate=0.01),
        ),
    ),
)
