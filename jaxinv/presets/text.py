"""Texts that lead a search: StyleCLIP's latent optimization, and TediGAN's."""

from __future__ import annotations

from dataclasses import replace

from jaxinv.presets.everyday import SEARCH
from jaxinv.presets.hybrid import IDINVERT_CYCLE
from jaxinv.presets.projector import RAMPED
from jaxinv.specs import InitSpec, Preset, Stage, Term, Variable, View

SAID = Term(
    "embedding", 1.0, net="clip", view=View(224), distance="cosine", target="text"
)  # 1 - cosine of picture and text
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
_IN_DOMAIN = IDINVERT_CYCLE.stages[0]
TEDIGAN = Preset(
    name="tedigan",
    summary="w+ from an encoder, by pixels, VGG-16, the encoder and a text together; Adam, 200",
    reference="Xia et al. 2021, TediGAN, arXiv:2012.03308; constants of its later code",
    notes=NEEDS + "Begins at an encoder: `--init encoder:NAME`. " + IDINVERT_CYCLE.notes,
    stages=(replace(_IN_DOMAIN, terms=(*_IN_DOMAIN.terms, replace(SAID, weight=2.0)), steps=200),),
)
