"""Fields that have an effect only where another one has some value."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ml_collections import ConfigDict

GROWING = ("provae", "resprovae")
PLAIN = ("mlp", "cnn", "hvae", "conv_hvae")
TFDS = "tfds:NAME"
SCALED = ("gaussian", "gaussian_per_pixel", "laplace")


class Need(NamedTuple):
    """What a field needs to have an effect."""

    field: str  # another one
    values: tuple[str, ...]  # of which that has one, or in a tuple holds one
    instead: str = ""  # the field that counts otherwise


NEEDS = {
    "data.dir": Need("data.name", ("mnist", "freyfaces", TFDS), "data.path"),
    "data.path": Need("data.name", ("npz", "npy", "idx", "folder"), "data.dir"),
    "data.num_images": Need("data.name", ("shapes",), "data.limit"),
    "model.prior_components": Need("model.prior", ("mixture", "vamp")),
    "model.pseudo_mean": Need("model.prior", ("vamp",)),
    "model.pseudo_std": Need("model.prior", ("vamp",)),
    "model.hidden_dim": Need("model.name", PLAIN, "model.base_ch"),
    "model.hidden_layers": Need("model.name", PLAIN),
    "model.activation": Need("model.name", PLAIN),
    "model.init": Need("model.name", PLAIN),
    "model.logvar_range": Need("model.name", PLAIN),
    "model.channels": Need("model.name", ("cnn", "conv_hvae")),
    "model.start_res": Need("model.name", GROWING),
    "model.final_res": Need("model.name", GROWING),
    "model.base_ch": Need("model.name", GROWING),
    "model.min_ch": Need("model.name", GROWING),
    "model.residual": Need("model.name", GROWING),
    "model.group_norm": Need("model.name", GROWING),
    "model.detach_residual": Need("model.name", ("resprovae",)),
    "model.independent_stages": Need("model.name", ("resprovae",)),
    "loss.sigma": Need("loss.recon", SCALED),
    "loss.sigma_learnable": Need("loss.recon", ("gaussian", "laplace")),
    "loss.sigma_floor": Need("loss.recon", ("gaussian_per_pixel",)),
    "loss.include_const": Need("loss.recon", SCALED),
    "loss.stage_loss_scale": Need("model.name", GROWING),
    "optim.decay": Need("optim.schedule", ("steps",)),
    "optim.per_stage": Need("model.name", GROWING),
    "train.epochs": Need("model.name", PLAIN, "train.epochs_per_stage"),
    "train.epochs_per_stage": Need("model.name", GROWING, "train.epochs"),
    "train.fadein_ratio": Need("model.name", GROWING),
    "train.fade": Need("model.name", GROWING),
    "eval.mixture_components": Need("eval.samplers", ("mixture",)),
    "eval.mixture_images": Need("eval.samplers", ("mixture",)),
    "eval.inception_weights": Need("eval.extractor", ("inception",)),
}


def without_effect(config: ConfigDict, fields: Iterable[str]) -> Iterator[str]:
    """Says of each of ``fields`` that does nothing in this config what it needs.

    Fields that depend on more than one value of another one are not known here.
    """
    for field in dict.fromkeys(fields):
        need = NEEDS.get(field)
        if need is None:
            continue
        section, name = need.field.split(".")
        value = config[section][name]
        given = {value} if isinstance(value, str) else {*value}
        if any(one.startswith("tfds:") for one in given):
            given = {TFDS}
        if given.isdisjoint(need.values):
            *others, last = need.values
            allowed = f"{', '.join(others)} or {last}" if others else last
            instead = f"; see {need.instead}" if need.instead else ""
            yield (
                f"{field}: has an effect only with {need.field}={allowed}, got "
                f"{value}{instead}"
            )
