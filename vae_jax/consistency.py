"""What must hold between fields of a config, or between them and the images."""

from collections.abc import Mapping
from typing import Any

import numpy as np

WEIGHTED = ("iwae", "stl", "dreg")  # objectives that are importance-weighted
# Fields of the ``loss`` section that change what the KL does in it, with the values
# that turn them off.
PRESSURES = {"free_bits": 0.0, "capacity": 0.0, "tc_weight": 1.0}


def check_patience(patience: int, num_valid: int) -> None:
    """Accepts a wait for a better bound, if there are images to have one of.

    Raises:
        ValueError: if there are none.
    """
    if patience and not num_valid:
        raise ValueError(
            "train.patience: must be 0 without validation images, of which there are "
            f"none, got {patience}; try --config.data.valid_size=-1"
        )


def check_rises(
    epochs: int, steps: int, *, warmup_steps: int, loss: Mapping[str, Any]
) -> None:
    """Accepts numbers that come to their full height before training ends.

    Args:
        epochs: of the whole run.
        steps: likewise.
        warmup_steps: of the learning rate.
        loss: the ``loss`` section. Between two rises of beta are as many epochs at its
            full height.

    Raises:
        ValueError: if one does not.
    """
    warmup_epochs, cycles = loss["warmup_epochs"], loss["warmup_cycles"]
    for field, rise, what, most in (
        ("optim.warmup_steps", warmup_steps, "steps", steps),
        ("loss.warmup_epochs", warmup_epochs, "epochs", epochs),
        ("loss.capacity_epochs", loss["capacity_epochs"], "epochs", epochs),
    ):
        if rise > most:
            raise ValueError(
                f"{field}: must be at most the {what} of the run, {most}, got {rise}"
            )
    if (2 * cycles - 1) * warmup_epochs > epochs:
        raise ValueError(
            f"loss.warmup_cycles: must be at most {(epochs // warmup_epochs + 1) // 2} "
            f"for the last of them to rise to the end in {epochs} epochs with "
            f"loss.warmup_epochs={warmup_epochs}, got {cycles}"
        )


def check_companions(loss: Mapping[str, Any]) -> None:
    """Accepts fields of the ``loss`` section that say more of what another turns on.

    Raises:
        ValueError: if one is set and that is off, so that it would have no effect.
    """
    for field, unset, other, is_on in (
        ("kl_samples", 1, "kl", loss["kl"] == "mc"),
        ("warmup_cycles", 1, "warmup_epochs", loss["warmup_epochs"] > 0),
        ("capacity_epochs", 0, "capacity", loss["capacity"] > 0),
    ):
        if loss[field] != unset and not is_on:
            raise ValueError(
                f"loss.{field}: must be {unset} with loss.{other}={loss[other]}, "
                f"got {loss[field]}"
            )


def check_pressure(loss: Mapping[str, Any]) -> None:
    """Accepts at most one change of what the KL does in the loss, if it is defined.

    Raises:
        ValueError: otherwise.
    """
    used = [name for name, off in PRESSURES.items() if loss[name] != off]
    if len(used) > 1:
        first, second = used[:2]
        raise ValueError(
            f"loss.{second}: must be {PRESSURES[second]} with loss.{first}="
            f"{loss[first]}, got {loss[second]}"
        )
    if loss["kl"] != "analytic" and used and used != ["tc_weight"]:
        raise ValueError(
            f"loss.kl: must be analytic for loss.{used[0]}, as estimates of the KL may "
            f"be negative, got {loss['kl']!r}"
        )


def check_objective(groups: int, fadein_ratio: float, loss: Mapping[str, Any]) -> None:
    """Accepts an objective that is defined for the model and with the other fields.

    Args:
        groups: of latents.
        fadein_ratio: part of a stage over which it is faded in.
        loss: the ``loss`` section, its ``stage_loss_scale`` ``none`` for models that
            do not grow.

    Raises:
        ValueError: otherwise.
    """
    objective = loss["objective"]
    if loss["tc_weight"] != 1 and groups > 1:
        raise ValueError(
            "loss.tc_weight: must be 1.0 for a model of several groups of latents, "
            f"{groups}, got {loss['tc_weight']}"
        )
    if objective not in WEIGHTED:
        if loss["iw_samples"] != 1:
            raise ValueError(
                f"loss.iw_samples: must be 1 for loss.objective={objective}, got "
                f"{loss['iw_samples']}; try --config.loss.objective=iwae"
            )
        return
    needed = {"beta": 1.0, **PRESSURES, "stage_loss_scale": "none"}
    for name, only in needed.items():
        if loss[name] != only:
            note = ", which may rise to it" if name == "beta" else ""
            raise ValueError(
                f"loss.{name}: must be {only} for loss.objective={objective}{note}, "
                f"got {loss[name]}"
            )
    if groups > 1 and objective != "iwae":
        raise ValueError(
            f"loss.objective: must be elbo or iwae for a model of {groups} groups of "
            f"latents, got {objective!r}"
        )
    if groups > 1 and fadein_ratio:
        raise ValueError(
            f"train.fadein_ratio: must be 0 for loss.objective={objective} and a model "
            f"of {groups} groups of latents, as a fade weighs their KL, got "
            f"{fadein_ratio}"
        )


def check_microbatches(
    microbatches: int, batch_sizes: tuple[int, ...], loss: Mapping[str, Any]
) -> None:
    """Accepts a number of parts into which every batch and its loss can be cut.

    Raises:
        ValueError: if one cannot, as the loss of an image depends on all of its batch.
    """
    for name in ("free_bits", "tc_weight"):
        if microbatches > 1 and loss[name] != PRESSURES[name]:
            raise ValueError(
                f"train.microbatches: must be 1 for loss.{name}={loss[name]}, which is "
                f"of whole batches, got {microbatches}"
            )
    for size in batch_sizes:
        if size % microbatches:
            raise ValueError(
                f"train.microbatches: must divide data.batch_size, {size}, "
                f"got {microbatches}"
            )


def check_prior(prior: str, kl: str, components: int, num_train: int) -> None:
    """Accepts a learned prior whose KL can be had, and which has to generalise.

    Raises:
        ValueError: if its KL is to be analytic, or it has a pseudo-input for every
            training image and more.
    """
    if prior == "standard":
        return
    if kl == "analytic":
        raise ValueError(
            f"loss.kl: must be mc with model.prior={prior}, to which the KL has no "
            f"closed form, got {kl!r}"
        )
    if prior == "vamp" and components > num_train:
        raise ValueError(
            "model.prior_components: must be at most the number of training images, "
            f"{num_train}, with model.prior=vamp, got {components}"
        )


def check_output_bias(output_bias: str, name: str, recon: str) -> None:
    """Accepts a first image for a model and a likelihood that can begin with it.

    Raises:
        ValueError: if the last layer has no bias for each pixel, or if there is no
            mean of which its output is the logit.
    """
    if output_bias == "zero":
        return
    if name not in ("mlp", "hvae") or recon != "bce":
        raise ValueError(
            "model.output_bias: must be zero for all but model.name=mlp or hvae with "
            f"loss.recon=bce, got {output_bias!r} for {name} with {recon}"
        )


def check_decay(schedule: str, decay_epochs: tuple[int, ...]) -> None:
    """Accepts epochs after which the learning rate falls, where its schedule asks.

    Raises:
        ValueError: if there are none, or if there are and it does not.
    """
    if (schedule == "steps") != bool(decay_epochs):
        wanted = "one or more epochs" if schedule == "steps" else "()"
        raise ValueError(
            f"optim.decay_epochs: must be {wanted} with optim.schedule={schedule}, "
            f"got {decay_epochs}"
        )


def check_scale(scale: str, dtype: np.dtype) -> None:
    """Accepts a way to scale 8-bit levels for images that have them.

    Raises:
        ValueError: if they are floats, which are taken as they are.
    """
    if scale != "unit" and dtype != np.uint8:
        raise ValueError(
            f"data.scale: must be unit for images that are not 8-bit, got {scale!r} "
            f"for {dtype} ones"
        )


def check_levels(recon: str, dtype: np.dtype, binarize: str) -> None:
    """Accepts a likelihood of 8-bit levels for images that have them.

    Raises:
        ValueError: if they are floats, or are binarised.
    """
    if recon != "discretized_logistic" or (dtype == np.uint8 and binarize == "none"):
        return
    found = f"{dtype} ones" if binarize == "none" else f"data.binarize={binarize}"
    raise ValueError(
        f"loss.recon=discretized_logistic: images must be of 8-bit levels, got {found}"
        "; try --config.loss.recon=gaussian or bce"
    )
