"""Texts that lead a search: StyleCLIP's latent optimization, and TediGAN's."""

from __future__ import annotations

from jaxinv.presets.everyday import SEARCH
from jaxinv.presets.hybrid import GIVEN, HELD_IN_DOMAIN, VGG_SCALE
from jaxinv.presets.projector import RAMPED
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable, View

SEEN = View(224)
# 1 - cosine of picture and text
SAID = Term("embedding", 1.0, net="clip", view=SEEN, distance="cosine", target="text")
SAID_TWICE = Term("embedding", 2.0, net="clip", view=SEEN, distance="cosine", target="text")
NEEDS = "The text comes from the call: `--text WORDS`, with a converted CLIP. "
STYLECLIP = Preset(
    name="styleclip",
    summary="the default search, then w+ towards a text, held near what was found; Adam, 300",
    checked="the ridge of a linear embedding, and pictures in the place of vectors",
    reference="Patashnik et al. 2021, StyleCLIP, arXiv:2103.17249, section 4; its code's constants",
    notes=(
        NEEDS + "There an encoder (e4e) gives the code: with `--init encoder:NAME` the first stage "
        "begins there. Identity has weight 0 in its code by default, and no term here. Its loss "
        "sees pictures at 224 px by averages of pixels, and so does this one."
    ),
    enlarge=512,
    stages=(
        SEARCH,
        Stage(
            (Variable("w+", init=InitSpec("previous")),),
            (SAID, Term("anchor", 0.008, variable="w+", reduction="sum")),
            steps=300,
            solver=RAMPED,
            keep="last",
        ),
    ),
)
TEDIGAN = Preset(
    name="tedigan",
    summary="w+ from an encoder, by pixels, VGG-16, the encoder and a text together; Adam, 200",
    reference="Xia et al. 2021, TediGAN, arXiv:2012.03308; constants of its later code",
    notes=NEEDS + VGG_SCALE,
    stages=(
        Stage(
            (Variable("w+", init=GIVEN),),
            (*HELD_IN_DOMAIN, SAID_TWICE),
            steps=200,
            solver=SolverSpec("adam", learning_rate=0.01),
        ),
    ),
)
