"""What ``main.py`` can be told to do: its modes, and the flags of each.

The fields of a config are not here: see ``settings``.
"""

from absl import flags

MODES = ("train", "doctor", "eval", "sample", "replay", "compare")
BEFORE_A_RUN = ("train", "doctor")  # they can do without one
OF_COMPARING = ("workdirs", "out")
OF_MODES = {  # flags that only some modes take
    **dict.fromkeys(OF_COMPARING, ("compare",)),
    **dict.fromkeys(("num", "sample_seed"), ("sample",)),
    "stage": ("eval", "sample"),
}
OF_A_TEAM = ("coordinator", "num_processes", "process_id")


def known_flags(config: bool) -> flags.FlagValues:
    """The flags, in a set of their own, not absl's global one.

    ``config``: with ``--config`` as plain text, and without if it is to be read.
    """
    args = flags.FlagValues()
    define = {"flag_values": args}
    if config:
        flags.DEFINE_string("config", None, "config file", **define)
    flags.DEFINE_enum("mode", "train", MODES, "what to do", **define)
    flags.DEFINE_string(
        "workdir", None, "run directory; default: a new one in experiments/", **define
    )
    flags.DEFINE_integer("num", 64, "how many images to sample", 1, **define)
    flags.DEFINE_integer(
        "sample_seed", 0, "seed of the samples", 0, 2**32 - 1, **define
    )
    flags.DEFINE_integer(
        "stage", None, "eval, sample: a finished stage instead of the end", 0, **define
    )
    flags.DEFINE_integer("step", None, "replay: which step, from 1", 1, **define)
    flags.DEFINE_list(
        "workdirs",
        None,
        "compare: two runs or more; one with a comma in its name in double quotes",
        **define,
    )
    flags.DEFINE_string(
        "out", ".", "compare: folder for comparison.md and comparison.csv", **define
    )
    flags.DEFINE_bool(
        "profile",
        False,
        "train: trace a few steps of each stage into RUN/profile, print where their "
        "time goes, and train on",
        **define,
    )
    flags.DEFINE_bool(
        "distributed",
        False,
        "train: together with other processes, on one or several hosts; a cluster that "
        "JAX knows (SLURM, TPU pods, Open MPI) says which, or the next three flags do",
        **define,
    )
    flags.DEFINE_string("coordinator", None, "host:port of the first process", **define)
    flags.DEFINE_integer("num_processes", None, "how many there are", 1, **define)
    flags.DEFINE_integer("process_id", None, "of this one, from 0", 0, **define)
    flags.DEFINE_bool(
        "compilation_cache",
        True,
        "keep compiled functions in $XDG_CACHE_HOME/vae_jax/xla (by default ~/.cache) "
        "for later starts; if JAX_COMPILATION_CACHE_DIR is set, JAX keeps them there",
        **define,
    )
    flags.DEFINE_bool("print_config", False, "print the config and exit", **define)
    flags.DEFINE_bool("help", False, "print this and exit", short_name="h", **define)
    return args


def check_one_run(args: flags.FlagValues) -> None:
    """Accepts the flags of a mode that works on one run.

    Raises:
        ValueError: if one of them belongs to another mode, or no run is named.
    """
    for flag, modes in OF_MODES.items():
        if args[flag].present and args.mode not in modes:
            allowed = " and ".join(f"--mode={mode}" for mode in modes)
            raise ValueError(f"--{flag}: is for {allowed}")
    if args.workdir == "":
        raise ValueError("--workdir: must name a folder, got ''")
    if args.mode == "doctor" and args.workdir is not None:
        raise ValueError("--workdir: is not for --mode=doctor, which looks at a config")
    if args.profile and args.mode != "train":
        raise ValueError("--profile: is for --mode=train")
    check_team(args)
    if (args.step is None) == (args.mode == "replay"):
        raise ValueError("--step: is for --mode=replay, which needs it")
    if args.mode not in BEFORE_A_RUN and args.workdir is None:
        raise ValueError(f"--workdir: must name a run for --mode={args.mode}")


def check_team(args: flags.FlagValues) -> None:
    """Accepts one process, or the flags of one among several that train together.

    Raises:
        ValueError: if flags are missing or do not fit together.
    """
    given = [flag for flag in OF_A_TEAM if args[flag].value is not None]
    if given and not args.distributed:
        raise ValueError(f"--{given[0]}: is for --distributed")
    if args.distributed and args.mode != "train":
        raise ValueError("--distributed: is for --mode=train")
    if given and len(given) < len(OF_A_TEAM):
        missing = next(flag for flag in OF_A_TEAM if flag not in given)
        raise ValueError(f"--{missing}: must be given with --{given[0]}")
    if given:
        host, _, port = args.coordinator.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise ValueError(
                f"--coordinator: must be host:port, got {args.coordinator!r}"
            )
    if given and args.process_id >= args.num_processes:
        raise ValueError(
            f"--process_id: must be below --num_processes, {args.num_processes}, "
            f"got {args.process_id}"
        )


def place(args: flags.FlagValues) -> tuple | None:
    """Of this process among several that train together, if it is one of them."""
    return tuple(args[flag].value for flag in OF_A_TEAM) if args.distributed else None


def check_comparing(args: flags.FlagValues, fields: list[str], rest: list[str]) -> None:
    """Accepts the flags of ``--mode=compare``.

    Raises:
        ValueError: if there are others, or fewer than two runs are named.
    """
    given = [f"--{flag}" for flag in args if args[flag].present] + fields
    allowed = {"--mode", *(f"--{flag}" for flag in OF_COMPARING)}
    for flag in given:
        if flag not in allowed:
            raise ValueError(
                f"{flag}: is not for --mode=compare, which takes --workdirs and --out"
            )
    if rest:
        raise ValueError(f"arguments: must all be flags, got {' '.join(rest)}")
    workdirs = args.workdirs or []
    if len(workdirs) < 2 or not all(workdirs):
        raise ValueError(
            "--workdirs: must name two runs or more, as in RUN1,RUN2, "
            f"got {', '.join(map(repr, workdirs)) or 'none'}"
        )
