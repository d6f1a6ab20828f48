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


def check_microbatches(microbatches: int, batch_sizes: tuple[int, ...]) -> None:
    """Accepts a number of parts into which every batch can be cut.

    Raises:
        ValueError: if one cannot.
    """
    for size in batch_sizes:
        if size % microbatches:
            raise ValueError(
                f"train.microbatches: must divide data.batch_size, {size}, "
                f"got {microbatches}"
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
