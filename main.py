"""Trains, evaluates, samples and compares variational autoencoders.

  python main.py --config=configs/mnist_cnn.py              train, then evaluate
  python main.py --config=... --config.loss.beta=4          change any field
  python main.py --config=... --workdir=RUN                 in RUN; resumes there
  python main.py --config=... --profile                     show where the time goes
  python main.py --mode=doctor --config=...                 what will go wrong, and cost
  python main.py --mode=eval --workdir=RUN                  evaluate a run again
  python main.py --mode=sample --workdir=RUN --num=64       means of new images
  python main.py --mode=replay --workdir=RUN --step=S       look into one step
  python main.py --mode=compare --workdirs=RUN1,RUN2        runs in one table
  python main.py --config=... --print_config                show every field

The fields and what they may be: configs/base.py.
"""

import os
import pathlib
import re
import signal
import sys
import traceback

from absl import flags
from ml_collections import ConfigDict, config_flags

from vae_jax import commands, settings

ROOT = pathlib.Path(__file__).parent
FIELD = re.compile(r"^--?(?:no)?config\.([^=\s]*)", re.MULTILINE)
CONFIG = re.compile(r"^--?config(?:=|\n)(.*)", re.MULTILINE)
OF_NO_KIND = re.compile(  # what absl says of a field and a value
    r"flag --config\.([^=]+)=(.*?): (?:invalid lit|could not conv|\('Non-bool)",
    re.DOTALL,
)
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def main(argv: list[str]) -> int:
    """Runs one command and returns its exit code: 2 for a mistake of the user's."""
    try:
        args, config = parse(argv)
    except (flags.Error, ValueError, OSError) as error:
        print(f"main.py: {error}", file=sys.stderr)
        return 2
    if args.help:
        print(f"{__doc__}\nFlags:\n{args.get_help().split('absl.flags:')[0].rstrip()}")
        return 0
    if args.print_config:
        print(config)
        return 0
    if config and config.train.deterministic:  # read by XLA when JAX is first imported
        known = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{known} {DETERMINISTIC}".strip()
    if args.compilation_cache:
        # XLA would say of many processors that they may not run what they compiled
        # themselves (jax issue 38445). What is wrong indeed is raised as well.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    typed = FIELD.findall("\n".join(argv))
    notes = list(settings.without_effect(config, typed)) if config else []

    from vae_jax import run  # takes a second, so only for a command that makes sense

    return run.run(
        args.mode,
        config,
        workdir=args.workdir,
        compilation_cache=args.compilation_cache,
        num=args.num,
        sample_seed=args.sample_seed,
        stage=args.stage,
        step=args.step,
        workdirs=args.workdirs,
        out=args.out,
        profile=args.profile,
        place=commands.place(args),
        notes=notes,
        command=argv,
    )


def parse(argv: list[str]) -> tuple[flags.FlagValues, ConfigDict | None]:
    """The flags, and the checked config: none for help and to compare runs.

    Raises:
        flags.Error: if a flag is unknown or malformed.
        ValueError: if a field is unknown or not allowed to have its value.
        FileNotFoundError: if there is no such config.
    """
    args = commands.known_flags(config=True)
    rest = args([arg for arg in argv if not FIELD.match(arg)])[1:]
    if args.help:
        return args, None
    if args.mode == "compare":
        commands.check_comparing(args, [arg for arg in argv if FIELD.match(arg)], rest)
        return args, None
    for field in FIELD.findall("\n".join(argv)):
        settings.check_field(field)
    commands.check_one_run(args)
    if args.mode not in commands.BEFORE_A_RUN or args.config is None:
        saved = config_of_run(args.workdir)
    if args.config is None:
        args.config = saved
    elif not pathlib.Path(args.config.split(":")[0]).is_file():
        raise FileNotFoundError(
            f"--config: no such file: {args.config}; there are {available()}"
        )

    argv = [argv[0], f"--config={args.config}", *last_of_each(without_config(argv[1:]))]
    args = commands.known_flags(config=False)
    config_flags.DEFINE_config_file("config", None, flag_values=args, sys_argv=argv)
    try:
        extra = args(argv)[1:]
        config = args.config
    except Exception as error:  # whatever the code of a config file may raise
        raise ValueError(without_trace(error, argv)) from error
    if extra:
        raise ValueError(f"arguments: must all be flags, got {' '.join(extra)}")
    settings.check(config)
    return args, config


def without_config(args: list[str]) -> list[str]:
    """All but ``--config`` itself, which ml_collections wants once and first."""
    named = [i for i, arg in enumerate(args) if re.fullmatch("--?config(=.*)?", arg)]
    values = {i + 1 for i in named if "=" not in args[i]}
    return [arg for i, arg in enumerate(args) if i not in values.union(named)]


def last_of_each(argv: list[str]) -> list[str]:
    """Of several ``--config.field=value`` for one field, the last.

    Those of other fields replace each other anyway; tuples would be joined.
    """
    fields = [arg.partition("=")[0] if FIELD.match(arg) else None for arg in argv]
    return [
        arg
        for i, arg in enumerate(argv)
        if fields[i] is None or "=" not in arg or fields[i] not in fields[i + 1 :]
    ]


def without_trace(error: Exception, argv: list[str]) -> str:
    """What went wrong with the flags, and where if it was in a config file's code."""
    text = str(error)
    if typed := OF_NO_KIND.match(text):
        field, value = typed.groups()
        return f"{field}: must be {settings.RULES[field].text}, got {value!r}"
    if not isinstance(error, flags.Error):
        text = "".join(traceback.format_exception(error))
    head, found, trace = text.partition("Traceback (most recent call last):")
    if not found:
        return head
    name = CONFIG.findall("\n".join(argv))[0].split(":")[0]
    lines = re.findall(rf'File "[^"]*{re.escape(name)}", line (\d+)', trace)
    where = f"{name}, line {lines[-1]}" if lines else name
    reason = re.split(r"\n(?=\w)", trace.strip())[-1]  # its last part that is not code
    reason = reason.replace("\\n", " ").replace("\\'", "'").replace("\n", " ")
    return f"--config: {where}: {reason}"


def config_of_run(workdir: str | None) -> str:
    """What ``--config`` is when only ``--workdir`` says which run is meant."""
    if workdir is None:
        raise ValueError(f"--config: must be given; there are {available()}")
    path = pathlib.Path(workdir, "config.json")
    if not path.is_file():
        raise FileNotFoundError(f"--workdir: must hold a run, but there is no {path}")
    return f"{ROOT / 'configs' / 'saved.py'}:{path}"


def available() -> str:
    paths = sorted((ROOT / "configs").rglob("*_*.py"))
    return ", ".join(str(p.relative_to(ROOT)) for p in paths if p.name[0] != "_")


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Ends at once, without a stack trace. While it trains, pacing.py takes care.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv))
