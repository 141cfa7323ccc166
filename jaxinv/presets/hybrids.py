"""Hybrids: an encoder says where to begin, and a search goes on from there."""

from __future__ import annotations

from jaxinv.specs import Hybrid

GIVEN = "Give its encoder with `--init encoder:NAME`; a converted published one will do too. "
ZHU_IGAN = Hybrid(
    name="zhu2016-igan",
    parts=("zhu2016", "igan"),
    summary="z by a network, then L-BFGS on pixels and AlexNet conv4 from there",
    reference="Zhu et al. 2016, iGAN, arXiv:1609.03552, section 3",
    notes=GIVEN,
)
GANSEEING_HYBRID = Hybrid(
    name="ganseeing-hybrid",
    parts=("ganseeing-encoder", "ganseeing-residuals"),
    summary="z by inverses of the layers, then what must be added after the first three",
    reference="Bau et al. 2019, Seeing What a GAN Cannot Generate, section 3",
    notes=GIVEN,
)
GAN_PAINT_HYBRID = Hybrid(
    name="gan-paint-hybrid",
    parts=("ganseeing-encoder", "ganseeing-residuals", "gan-paint-weights"),
    summary="ganseeing-hybrid, then factors of later weights",
    reference="Bau et al. 2019, Semantic Photo Manipulation with a Generative Image Prior, 3",
    notes=GIVEN,
)
GUAN_HYBRID = Hybrid(
    name="guan-hybrid",
    parts=("guan", "guan-search"),
    summary="w+ by the encoder that learned from this search, then the search: 100 steps of Adam",
    reference="after Guan et al. 2020, Collaborative Learning, arXiv:2007.01758, section 3",
    notes=GIVEN,
)
IDINVERT_HYBRID = Hybrid(
    name="idinvert-hybrid",
    parts=("idinvert-encoder", "idinvert-cycle"),
    summary="w+ by the domain-guided encoder, then a search that the encoder holds in its domain",
    reference="Zhu et al. 2020, IDInvert, arXiv:2004.00049, section 3",
    notes=GIVEN,
)
ENSEMBLING_HYBRID = Hybrid(
    name="gan-ensembling-hybrid",
    parts=("gan-ensembling-encoder", "gan-ensembling-cycle"),
    summary="w+ by an encoder of pictures with holes, then L-BFGS with what that sees",
    reference="Chai et al. 2021, Ensembling with Deep Generative Views, section 3.1",
    notes=GIVEN,
)
NPGD_HYBRID = Hybrid(
    name="npgd-hybrid",
    parts=("npgd-projector", "npgd"),
    summary="30 steps towards the measurements, the trained projector's z after each",
    reference="Raj et al. 2019, arXiv:1910.13427, algorithm 1",
    notes=GIVEN + "Give the operator of the measurements too, or a mask.",
)
ENCODER_DEFAULT = Hybrid(
    name="encoder-default",
    parts=("encoder", "default"),
    summary="w+ by the library's own encoder, then the everyday search from there",
    reference="this library",
    notes=GIVEN,
)
ENCODER_FAITHFUL = Hybrid(
    name="encoder-faithful",
    parts=("encoder", "faithful"),
    summary="encoder-default, then weights of the generator for this picture alone",
    reference="this library; tuning after Roich et al. 2021, PTI, section 3",
    notes=GIVEN,
)
E4E_PTI = Hybrid(
    name="e4e-pti",
    parts=("e4e", "pti-tuning"),
    summary="w+ by e4e as the pivot, then all weights by pixels and LPIPS-Alex until 0.06",
    reference="Roich et al. 2021, PTI, section 3, with the pivot of Tov et al. 2021, e4e",
    notes=GIVEN,
)
