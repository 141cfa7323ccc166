"""The words that presets are written in; whoever gives one a meaning is tested against them."""

from __future__ import annotations

LATENT_SPACES = ("z", "z+", "w", "w+", "s")
CLASSES = ("label", "embedding")  # what latents say about the class
NETWORK_VARIABLES = ("features", "weights", "mix")  # what changes inside any generator
OUTPUT_VARIABLES = ("transform", "surrogate")  # what stands between the render and the loss
CAMERA = "camera"  # yaw and pitch, in radians, of the generators that render
SPACES = (*LATENT_SPACES, "noise", *CLASSES, CAMERA, *NETWORK_VARIABLES, *OUTPUT_VARIABLES)
PRIORS = ("normal", "uniform", "truncated_normal")
# Codecs, and the spaces that each is for.
CODECS: dict[str, tuple[str, ...]] = {
    "identity": SPACES,
    "whiten": ("w", "w+"),
    "gradient-axes": ("w+",),
    "preconditioned": ("w+",),
    "p": ("w", "w+"),
    "pn": ("w", "w+"),
    "gaussianized": ("w", "w+"),
    "hull": ("w+",),
    "flow": ("z", "w", "w+"),
    "tanh": ("z", "z+"),
    "sphere": ("z", "z+"),
    "softmax": ("label",),
}
# Where a variable may start, the usual place first.
_CODE = ("mean", "prior", "best-of", "given", "previous", "encoder")
_FLAT = ("zeros", "given", "previous")
INITS_BY_SPACE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(LATENT_SPACES, _CODE),
    "z": (*_CODE, "layerwise"),
    **dict.fromkeys(("w", "w+", "s"), (*_CODE, "learned")),
    "noise": ("stored", "prior", "zeros", "given", "previous"),
    **dict.fromkeys(CLASSES, ("class", "prior", "mean", "given", "previous")),
    CAMERA: ("mean", "prior", "zeros", "given", "previous"),
    "features": _FLAT,
    "weights": _FLAT,
    "mix": ("uniform", "given", "previous"),
    **dict.fromkeys(OUTPUT_VARIABLES, _FLAT),
}
DEFAULT = "default"
# Ways to invert a chain of dense layers from the image back to z, without a gradient.
LAYERWISE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("lp", "lp-relaxed", "nnls"), ("tolerance",)),
    "ista": ("tolerance", "sparsity", "iterations"),
}
INITS = (DEFAULT, *dict.fromkeys(kind for kinds in INITS_BY_SPACE.values() for kind in kinds))
PRECISIONS = ("float32", "bfloat16")  # of kernels and activations
DELTA_FORMS = ("add", "multiply", "replace", "low-rank")
TRANSFORMS = ("shift", "scale", "color")
DISTANCES = ("l2", "l1", "cosine", "style", "appearance", "norm")  # of features
GLOBAL_DISTANCES = ("style", "appearance", "norm")  # those that compare all positions at once
START = "start"  # as a target: the picture with which the stage starts
TEXT = "text"  # as a target: a vector of words, of the space that the net sees pictures in
DISCRIMINATOR = "discriminator"  # the generator's own, among the nets of a term
# The taps of every net: "conv1" before and "relu1" after the activation of its first layer.
LAYERS = {
    "alexnet": tuple(kind + str(i) for i in range(1, 6) for kind in ("conv", "relu")),
    "vgg16": tuple(
        f"{kind}{block}_{i}"
        for block, count in enumerate((2, 2, 3, 3, 3), start=1)
        for i in range(1, count + 1)
        for kind in ("conv", "relu")
    ),
}
NETS = tuple(LAYERS)
# Those that LPIPS compares (Zhang et al. 2018, section 3).
LPIPS_LAYERS = {
    "alexnet": tuple(f"relu{i}" for i in range(1, 6)),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}
# Nets of published files (see `models.features.nets`), which name their outputs themselves.
CONVERTED_NETS = (
    *("inception-fid", "arcface-ir", "bisenet-faces", "clip", "facenet", "moco-resnet50"),
    *("face-landmarks", "face-age-gender", "face-expression"),
)
ENCODER, ATTRIBUTE, CRITIC, ALIGNER = "encoder", "attribute", "code-critic", "code-aligner"
CALLABLES = (ENCODER, ATTRIBUTE)  # nets that the caller gives, with a function that applies them
EMBEDDERS = (*CONVERTED_NETS, *CALLABLES)
OUTPUT = "output"  # of a net: what stands for the picture
MASK_SOURCES = ("given", "operator", "face", "lpips")  # of named masks
REDUCTIONS = ("mean", "sum")
WHEN = ("", "drawn", "same")  # for which pictures of an encoder's training a term counts
SCHEDULES = (
    *("constant", "nv_ramp", "cosine", "quadratic_decay", "exponential", "multi_step"),
    *("one_cycle", "one_cycle_drop"),
)
# Solvers and the options that they take beside the learning rate.
EXTRAS = ("lookahead", "pull", "centralize")  # of every first-order solver
OPTIONS: dict[str, tuple[str, ...]] = {
    "adam": ("b1", "b2", "eps", "eps_root", *EXTRAS),
    "sgd": EXTRAS,
    "momentum": ("decay", *EXTRAS),
    "rmsprop": ("decay", "eps", "initial_scale", *EXTRAS),
    "adamax": ("b1", "b2", "eps", *EXTRAS),
    "adamw": ("b1", "b2", "eps", "weight_decay", *EXTRAS),
    "radam": ("b1", "b2", "eps", "eps_root", "threshold", *EXTRAS),
    "ranger": ("b1", "b2", "eps", "eps_root", "threshold", *EXTRAS),
    "lbfgs": ("history", "warmup", "first", "max_step", "initial_scale", "adapt"),
    "lm": ("products", "damping", "forcing"),
    "cma": ("population",),
    "sep-cma": ("population",),
    "de": ("population",),
    "pso": ("population",),
    "basin-cma": ("population", "inner", "inner_rate"),
    "basin-sep-cma": ("population", "inner", "inner_rate"),
    "basin-de": ("population", "inner", "inner_rate"),
    "basin-pso": ("population", "inner", "inner_rate"),
    "one-plus-one": (),
    "random": (),
    "hmc": ("leapfrog_steps", "warmup", "target", "temperature"),
    "mala": ("warmup", "target", "temperature"),
    "sgld": ("temperature",),
}
SOLVERS = tuple(OPTIONS)
# Whole numbers, and the least that is allowed; numbers above 0; numbers between 0 and 1.
WHOLE_OPTIONS = {
    **dict.fromkeys(("history", "leapfrog_steps", "products", "inner"), 1),
    **dict.fromkeys(("warmup", "adapt", "lookahead", "centralize"), 0),
    "population": 4,
}
POSITIVE_OPTIONS = ("temperature", "damping", "inner_rate", "initial_scale")
RATE_OPTIONS = ("target", "forcing")
# What a stage cannot combine with a solver: it would change points or losses behind its back.
_OWN_STEPS = ("rate", "hooks", "schedule", "keep 'last'", "moves")
INCOMPATIBLE: dict[str, tuple[str, ...]] = {
    "lbfgs": _OWN_STEPS,
    "lm": _OWN_STEPS,
    "cma": _OWN_STEPS,
    "sep-cma": _OWN_STEPS,
    "de": _OWN_STEPS,
    "pso": _OWN_STEPS,
    "basin-cma": _OWN_STEPS,
    "basin-sep-cma": _OWN_STEPS,
    "basin-de": _OWN_STEPS,
    "basin-pso": _OWN_STEPS,
    "one-plus-one": _OWN_STEPS,
    "random": _OWN_STEPS,
    "hmc": ("rate", "hooks", "jitter", "moves"),
    "mala": ("rate", "hooks", "jitter", "moves"),
    "sgld": ("rate", "hooks", "moves"),
}
# Hooks, and the spaces that each is for.
HOOKS: dict[str, tuple[str, ...]] = {
    "standardize": ("noise",),
    "sphere": (*LATENT_SPACES, "embedding"),
    "clamp": SPACES,
    "redraw": ("z", "z+"),
}
STOPS = ("below", "plateau")
KEEPS = ("best", "last")
ANIMATIONS = ("gif", "webp", "mp4")
# Layouts of latents that other tools read, and what they write.
EXPORTS = {
    "npz": "NAME/projected_w.npz, w [1, rows or 18, d] (NVlabs)",
    "npy": "NAME.npy, [1, rows, d] (stylegan3-fun)",
    "pt": "NAME.pt, a tensor [1, rows, d] (PTI, StyleCLIP)",
    "e4e": "latents.pt, a tensor [n, rows, d], and latents.txt, names",
    "rosinality": "NAME.pt, {file: img, latent, noise}",
}
RESTART_RULES = ("lowest-loss",)  # how one of several restarts is chosen
