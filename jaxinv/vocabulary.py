"""The words that presets are written in; whoever gives one a meaning is tested against them."""

from __future__ import annotations

CHAIN = ("z", "w", "w+", "s")
SPACES = (*CHAIN, "noise")
CLASSES = ("label", "embedding")  # what latents say about the class
PRIORS = ("normal", "uniform", "truncated_normal")
CODECS = ("identity", "whiten", "eigen", "natural")
INITS = ("mean", "prior", "stored", "previous", "learned")
IMAGE_TERMS = ("mse", "l1", "lpips", "features")
VARIABLE_TERMS = ("noise_autocorrelation", "gaussian", "row_spread")
TERMS = (*IMAGE_TERMS, "weave", *VARIABLE_TERMS)
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
REDUCTIONS = ("mean", "sum")
SCHEDULES = ("constant", "nv_ramp", "cosine", "quadratic_decay")
# Solvers and the options that they take beside the learning rate.
EXTRAS = ("lookahead", "pull", "centralise")  # of every first-order solver
OPTIONS: dict[str, tuple[str, ...]] = {
    "adam": ("b1", "b2", "eps", "eps_root", *EXTRAS),
    "sgd": EXTRAS,
    "momentum": ("decay", *EXTRAS),
    "rmsprop": ("decay", "eps", "initial_scale", *EXTRAS),
    "adamax": ("b1", "b2", "eps", *EXTRAS),
    "adamw": ("b1", "b2", "eps", "weight_decay", *EXTRAS),
    "radam": ("b1", "b2", "eps", "eps_root", "threshold", *EXTRAS),
    "ranger": ("b1", "b2", "eps", "eps_root", "threshold", *EXTRAS),
    "lbfgs": ("history", "warmup", "first", "longest", "stretch", "adapt"),
    "cma": ("population",),
    "sep-cma": ("population",),
    "de": ("population",),
    "pso": ("population",),
    "one-plus-one": (),
    "random": (),
    "hmc": ("leaps", "warmup", "target", "temperature"),
    "mala": ("warmup", "target", "temperature"),
    "sgld": ("temperature",),
}
SOLVERS = tuple(OPTIONS)
# Whole numbers, and the least that is allowed; numbers above 0; numbers between 0 and 1.
WHOLE_OPTIONS = {"history": 1, "warmup": 0, "population": 4, "leaps": 1}
WHOLE_OPTIONS |= {"lookahead": 0, "centralise": 0, "adapt": 0}
POSITIVE_OPTIONS = ("temperature", "stretch")
RATE_OPTIONS = ("target",)
# What a stage cannot combine with a solver: it would change points or losses behind its back.
_POPULATION = ("rate", "hooks", "schedule", "keep 'last'")
REFUSES: dict[str, tuple[str, ...]] = {
    "lbfgs": ("rate", "hooks", "schedule", "keep 'last'", "jitter"),
    "cma": _POPULATION,
    "sep-cma": _POPULATION,
    "de": _POPULATION,
    "pso": _POPULATION,
    "one-plus-one": _POPULATION,
    "random": _POPULATION,
    "hmc": ("rate", "hooks", "jitter"),
    "mala": ("rate", "hooks", "jitter"),
    "sgld": ("rate", "hooks"),
}
HOOKS = ("standardise_noise",)
KEEPS = ("best", "last")
