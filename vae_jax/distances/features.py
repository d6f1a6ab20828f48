"""What every set of features must be."""

import numpy as np


def check(where: str, fewest: int, **sets: np.ndarray) -> None:
    """Refuses sets of features that have no distance.

    Args:
        where: the function that asks, to begin the message with.
        fewest: rows that every set must have.
        **sets: features by the name that the user knows them by.

    Raises:
        ValueError: if a set is not a finite ``[N, D]``, has fewer rows, or has another
            D than the first.
    """
    for name, features in sets.items():
        if features.ndim != 2 or not features.shape[1]:
            raise ValueError(
                f"{where}: {name} must be [N, D], D at least 1, "
                f"got shape {features.shape}"
            )
        if len(features) < fewest:
            raise ValueError(
                f"{where}: {name} must have at least {fewest} rows, got {len(features)}"
            )
        bad = len(features) - int(np.isfinite(features).all(axis=1).sum())
        if bad:
            raise ValueError(
                f"{where}: {name} must be finite, got NaN or infinity in {bad} of "
                f"{len(features)} rows"
            )
    widths = {name: features.shape[1] for name, features in sets.items()}
    if len(set(widths.values())) > 1:
        listing = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ValueError(
            f"{where}: both must have the same number of features, got {listing}"
        )
