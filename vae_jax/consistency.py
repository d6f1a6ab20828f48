"""What must hold between fields of a config, or between them and the images."""

import numpy as np


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


def check_warmup(warmup_epochs: int, epochs: int) -> None:
    """Accepts a KL that comes to its full weight before training ends.

    Raises:
        ValueError: if it does not.
    """
    if warmup_epochs > epochs:
        raise ValueError(
            f"loss.warmup_epochs: must be at most the epochs of the run, {epochs}, got "
            f"{warmup_epochs}"
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
