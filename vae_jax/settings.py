"""What a config may hold, and which of its fields may change when a run is resumed.

Neither JAX nor anything else that is slow to import is needed here, so that a mistake
on the command line is answered at once.
"""

import difflib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

DATA = ("mnist", "digits", "freyfaces", "shapes", "npz", "npy", "idx", "folder")
LIKELIHOODS = (
    "bce",
    "continuous_bernoulli",
    "gaussian",
    "gaussian_per_pixel",
    "laplace",
    "discretized_logistic",
)
RESIZED = ("folder", "shapes", "tfds:")  # data sets that can be had in any size
# Far beyond what makes sense, and far below where XLA ends the process without a word.
WIDEST = 2**20  # of vectors
LARGEST = 2**13  # of the sides of images
TINIEST = 1e-30  # of positive numbers; much smaller ones are 0 in float32


class Rule(NamedTuple):
    """Which values a field allows."""

    allows: Callable[[Any], bool]
    text: str  # completes "must be ..."


def one_of(*names: str) -> Rule:
    text = "one of " + ", ".join(names)
    return Rule(lambda v: isinstance(v, str) and v in names, text)


def data_set(*names: str) -> Rule:
    """One of ``names``, or anything that could be the name of a set of TFDS."""

    def allows(v):
        return isinstance(v, str) and (v in names or v.startswith("tfds:"))

    return Rule(allows, one_of(*names, "tfds:NAME").text)


def whole(low: int, below: int = 2**31) -> Rule:
    text = f"a whole number of at least {low} and below {below}"
    return Rule(lambda v: _is_int(v) and low <= v < below, text)


def real(low: float, below: float = 1e30, above: bool = False) -> Rule:
    """A number from ``low``, or above it, to below ``below``, and so for float32."""
    bounds = f"above {low:g}" if above else f"of at least {low:g}"

    def allows(v):
        number = isinstance(v, float) or _is_int(v)
        fits = number and (v == 0 or TINIEST <= abs(v)) and v < below
        return fits and (v > low if above else v >= low)

    return Rule(allows, f"a number {bounds} and below {below:g}")


def whole_numbers(low: int, below: int = 2**31) -> Rule:
    one = whole(low, below)

    def allows(v):
        return isinstance(v, tuple) and 0 < len(v) < 100 and all(map(one.allows, v))

    text = one.text.removeprefix("a whole number ")
    return Rule(allows, f"a tuple of one or more whole numbers {text}")


def reals(low: float, above: bool = False) -> Rule:
    one = real(low, above=above)

    def allows(v):
        return isinstance(v, tuple) and 0 < len(v) < 100 and all(map(one.allows, v))

    return Rule(allows, f"a tuple, each {one.text.removeprefix('a ')}")


def _is_side(v: Any) -> bool:
    return whole(1, LARGEST).allows(v)


def _is_int(v: Any) -> bool:
    return isinstance(v, int) and not isinstance(v, bool)


TEXT = Rule(lambda v: isinstance(v, str) and "\0" not in v, "text")
NAME = Rule(
    lambda v: (
        isinstance(v, str)
        and v.strip(". ")
        and "/" not in v
        and v.isprintable()
        and len(v.encode()) <= 200  # of the 255 that there are, for a date too
    ),
    "printable text that can be part of a folder's name",
)
SIZE = Rule(
    lambda v: isinstance(v, tuple) and len(v) in (0, 2) and all(map(_is_side, v)),
    f"empty, or a height and a width of at least 1 and below {LARGEST}",
)
RANGE = Rule(
    lambda v: (
        isinstance(v, tuple)
        and len(v) in (0, 2)
        and all(isinstance(one, float) or _is_int(one) for one in v)
        and (not v or -100 <= v[0] < v[1] <= 100)
    ),
    "empty, or two numbers from -100 to 100, the lower one first",
)
SHARE = Rule(whole(-1).allows, "a whole number of at least 0, or -1 for a tenth")
PART = Rule(lambda v: real(0.0).allows(v) and v <= 1, "a number from 0 to 1")
EPOCHS = whole_numbers(0)
MARKS = Rule(
    lambda v: isinstance(v, tuple) and (not v or whole_numbers(1).allows(v)),
    f"empty, or {whole_numbers(1).text}",
)
SAMPLERS = ("prior", "mixture")
SOME_SAMPLERS = Rule(
    lambda v: (
        isinstance(v, tuple)
        and v
        and all(isinstance(one, str) and one in SAMPLERS for one in v)
        and len(set(v)) == len(v)
    ),
    "a tuple of prior, mixture or both",
)
POSITIVES = reals(0.0, above=True)
SWITCH = Rule(lambda v: isinstance(v, bool), "True or False")

RULES = {
    "exp_name": NAME,
    "seed": whole(0, below=2**32),  # JAX's keys would take a larger one modulo this
    "data.name": data_set(*DATA),
    "data.dir": TEXT,
    "data.path": TEXT,
    "data.image_size": SIZE,
    "data.channels": Rule(lambda v: _is_int(v) and v in (0, 1, 3), "0, 1 or 3"),
    "data.num_images": whole(2),
    "data.valid_size": SHARE,
    "data.test_size": SHARE,
    "data.split_seed": whole(0),
    "data.limit": whole(0),
    "data.binarize": one_of("none", "threshold", "static", "dynamic"),
    "data.scale": one_of("unit", "centred"),
    "data.batch_size": whole_numbers(1),
    "data.placement": one_of("auto", "device", "stream"),
    "model.name": one_of("mlp", "cnn", "provae", "resprovae", "hvae", "conv_hvae"),
    "model.z_dim": whole_numbers(1, WIDEST),
    "model.prior": one_of("standard", "mixture", "vamp"),
    "model.prior_components": whole(1, WIDEST),
    "model.pseudo_mean": PART,
    "model.pseudo_std": real(0.0),
    "model.hidden_dim": whole(1, WIDEST),
    "model.hidden_layers": whole(0, 100),
    "model.activation": one_of("relu", "tanh", "gated"),
    "model.init": one_of("lecun", "he", "glorot"),
    "model.output_bias": one_of("zero", "mean"),
    "model.logvar_range": RANGE,
    "model.channels": whole_numbers(1, WIDEST),
    "model.start_res": whole(1, LARGEST),
    "model.final_res": whole(1, LARGEST),
    "model.base_ch": whole(1, WIDEST),
    "model.min_ch": whole(1, WIDEST),
    "model.residual": SWITCH,
    "model.group_norm": SWITCH,
    "model.detach_residual": SWITCH,
    "model.independent_stages": SWITCH,
    "loss.objective": one_of("elbo", "iwae", "stl", "dreg"),
    "loss.iw_samples": whole(1, WIDEST),
    "loss.recon": one_of(*LIKELIHOODS),
    "loss.kl": one_of("analytic", "mc"),
    "loss.kl_samples": whole(1, WIDEST),
    "loss.beta": real(0.0),
    "loss.warmup_epochs": whole(0),
    "loss.warmup_cycles": whole(1),
    "loss.free_bits": real(0.0),
    "loss.capacity": real(0.0),
    "loss.capacity_epochs": whole(0),
    "loss.tc_weight": real(0.0),
    "loss.reduction": one_of("sum", "mean"),
    "loss.sigma": real(0.0, above=True),
    "loss.sigma_learnable": SWITCH,
    "loss.sigma_floor": real(0.0, above=True),
    "loss.include_const": SWITCH,
    "loss.stage_loss_scale": one_of("none", "area"),
    "optim.lr": POSITIVES,
    "optim.schedule": one_of("constant", "cosine", "steps"),
    "optim.decay_epochs": MARKS,
    "optim.decay": real(0.0, above=True),
    "optim.warmup_steps": whole(0),
    "optim.eps": real(0.0, above=True),
    "optim.clip_norm": real(0.0),
    "optim.ema": real(0.0, below=1.0),
    "optim.per_stage": SWITCH,
    "train.epochs": whole(1),
    "train.epochs_per_stage": EPOCHS,
    "train.fadein_ratio": PART,
    "train.fade": one_of("linear", "cosine"),
    "train.patience": whole(0),
    "train.devices": whole(0),
    "train.microbatches": whole(1),
    "train.remat": SWITCH,
    "train.max_minutes": real(0.0),
    "train.max_bad_steps": whole(1),
    "train.tensorboard": SWITCH,
    "train.deterministic": SWITCH,
    "eval.batch_size": whole(1, WIDEST),
    "eval.checkpoint": one_of("best", "latest"),
    "eval.pictures_every": whole(0),
    "eval.iw_samples": whole(1),
    "eval.iw_images": whole(0),
    "eval.extractor": one_of("auto", "mnist_classifier", "inception", "pixels", "none"),
    "eval.inception_weights": TEXT,
    "eval.num_samples": whole(6),
    "eval.samplers": SOME_SAMPLERS,
    "eval.mixture_components": whole(1, WIDEST),
    "eval.mixture_images": whole(1),
    "eval.pixels": one_of("mean", "draw"),
    "eval.fd_infinity": SWITCH,
    "checkpoint.every_steps": whole(0),
    "checkpoint.every_minutes": real(0.0),
}

MAY_CHANGE = {
    "exp_name",
    "data.dir",
    "data.path",
    "data.placement",
    "train.epochs",
    "train.patience",
    "train.devices",
    "train.microbatches",
    "train.remat",
    "train.max_minutes",
    "train.max_bad_steps",
    "train.tensorboard",
    "checkpoint.every_steps",
    "checkpoint.every_minutes",
    *(field for field in RULES if field.startswith("eval.")),
}


def check(config: Any) -> None:
    """Accepts a config whose every value, and every combination, makes sense.

    Raises:
        ValueError: otherwise, naming the field, its value and what is allowed.
    """
    if not isinstance(config, ConfigDict):
        raise ValueError(f"get_config(): must return a ConfigDict, got {config!r}")
    values = dict(flatten(config))
    for field in RULES:
        if field not in values:
            raise ValueError(f"{field}: must be in the config; start from configs/base")
    for field, value in values.items():
        check_field(field)
        rule = RULES[field]
        if not rule.allows(value):
            raise ValueError(f"{field}: must be {rule.text}, got {value!r}")
    for field in ("image_size", "channels"):
        value = config.data[field]
        if value and not config.data.name.startswith(RESIZED):
            raise ValueError(
                f"data.{field}: must be {value * 0!r}, as they are, for "
                f"data.name={config.data.name}, got {value!r}"
            )
    if config.data.binarize != "none" and config.data.scale != "unit":
        raise ValueError(
            "data.scale: must be unit when data.binarize makes pixels 0 or 1, "
            f"got {config.data.scale!r}"
        )


def check_field(field: str) -> None:
    """Accepts the dotted name of a field.

    Raises:
        ValueError: if there is no such field, with the nearest one that there is.
    """
    if any(known.startswith(f"{field}.") for known in RULES):
        raise ValueError(f"{field}: is a section; change one of its fields")
    if field not in RULES:
        near = difflib.get_close_matches(field, RULES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "; see configs/base.py"
        raise ValueError(f"{field}: no such field{hint}")


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of dotted field name and value."""
    for key, value in tree.items():
        if hasattr(value, "items"):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def differences(
    stored: dict[str, Any], config: dict[str, Any]
) -> list[tuple[str, Any, Any]]:
    """The fields in which a run's own config and the one now asked for conflict.

    Both are plain dicts as read from JSON, where a tuple is a list.
    """
    old, new = dict(flatten(stored)), dict(flatten(config))
    allowed = set(MAY_CHANGE)
    if new["optim.schedule"] == "cosine":
        allowed.remove("train.epochs")  # the schedule's past would change with its end
    return [
        (field, old[field], new[field])
        for field in new.keys() & old.keys() - allowed
        if old[field] != new[field]
    ]
