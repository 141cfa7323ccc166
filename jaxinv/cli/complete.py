"""`jaxinv complete` and `learn-clouds`: whole clouds of points, from parts of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxinv.cli.argument_types import positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.weights import ready_generator


def verb_complete(options: argparse.Namespace) -> int:
    """Complete every cloud; one that cannot be used costs that cloud."""
    from jaxinv.runs.clouds import CompletionRequest, run_completions

    request = CompletionRequest(
        tuple(options.clouds),
        options.out,
        options.generator,
        options.preset,
        count=options.count,
        steps=options.steps,
        seed=options.seed,
    )
    spec = ready_generator(options.generator)
    if not spec.points:
        raise ValueError(f"generator {options.generator!r} draws pictures; allowed: one of clouds")
    done, failed = run_completions(request, complain)
    say(f"{done} clouds completed, {failed} failed; see {Path(options.out)}")
    return SOME_FAILED if failed else DONE


def verb_learn(options: argparse.Namespace) -> int:
    """Learn a generator of clouds from files, and keep it under a name."""
    from jaxinv.applications.cloud_training import USUAL, learn_clouds
    from jaxinv.io.checkpoints import cache_dir
    from jaxinv.io.output_folder import check_target
    from jaxinv.runs.clouds import read_clouds
    from jaxinv.training.stylegan2 import save_generator
    from weights_convert.outputs import check_name

    check_name(options.name)
    target = cache_dir() / f"{options.name}.safetensors"
    check_target(target, options.clouds)
    if target.exists() and not options.overwrite:
        raise ValueError(f"{target} is there; allowed: another --name, or --overwrite")
    clouds, bad = read_clouds(options.clouds, options.points, options.seed)
    for reason in bad:
        complain(f"warning: {reason}")
    training = USUAL._replace(steps=options.steps, seed=options.seed)
    gen, params = learn_clouds(clouds, options.name, training=training)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_generator(target, gen.spec, params, "jaxinv learn-clouds")
    say(f"{target}, of {len(clouds)} clouds; use it with -g {options.name}")
    return SOME_FAILED if bad else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs."""
    learn = verbs.add_parser("learn-clouds", help="learn a generator of clouds of points")
    learn.set_defaults(run=verb_learn)
    learn.add_argument("clouds", nargs="+", metavar="CLOUD", help=".ply, .xyz, .txt, .npy, .npz")
    learn.add_argument("--name", required=True, metavar="NAME", help="of the new generator")
    learn.add_argument("--points", type=positive, default=1024, metavar="N", help="of each cloud")
    learn.add_argument("--steps", type=positive, default=2000, metavar="N", help="of training")
    learn.add_argument("--seed", type=seed, default=0, metavar="S")
    learn.add_argument("--overwrite", action="store_true", help="replace a generator of that name")
    verb = verbs.add_parser("complete", help="complete parts of clouds of points")
    verb.set_defaults(run=verb_complete)
    verb.add_argument("clouds", nargs="+", metavar="CLOUD", help=".ply, .xyz, .txt, .npy, .npz")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument("-g", "--generator", required=True, metavar="NAME", help="one of clouds")
    verb.add_argument("-p", "--preset", default="shapeinversion", metavar="NAME")
    verb.add_argument(
        "-n", "--count", type=positive, default=1, metavar="N", help="different ones of each part"
    )
    verb.add_argument("--steps", type=positive, metavar="N", help="evaluations of a search")
    verb.add_argument("--seed", type=seed, default=0, metavar="S")
