"""Whether two sides compute the same thing, before anyone asks which is faster."""

import numpy as np

LOSS_RTOL = 1e-5  # float32 sums of 784 terms and some thousand products, two orders
# Of a whole array's gradient, in the L2 norm. ReLUs whose input is within rounding of
# zero fall on either side: weights that are moved by their own rounding move gradients
# by up to 3e-4 (provae2).
GRADIENT_RTOL = 5e-4
Arrays = dict[str, np.ndarray]  # by their path in the tree


def check(
    name: str, ours: tuple[float, Arrays], theirs: tuple[float, Arrays]
) -> dict[str, float]:
    """How far loss and gradients of the same weights and batch are apart.

    Args:
        name: of the model, for the error.
        ours: the loss, and the gradient of each array.
        theirs: the same. Arrays that the reference does not have must have no gradient.

    Returns:
        The largest relative differences, ``loss`` and ``gradient``.

    Raises:
        ValueError: if they differ by more than rounding does.
    """
    (loss, grads), (loss_theirs, grads_theirs) = ours, theirs
    apart = abs(loss - loss_theirs) / abs(loss)
    if not apart <= LOSS_RTOL:
        raise ValueError(
            f"{name}: both sides must compute the same loss, got {loss:.8g} here and "
            f"{loss_theirs:.8g} in the reference"
        )
    if unknown := sorted(grads_theirs.keys() - grads.keys()):
        raise ValueError(
            f"{name}: both sides must have the same weights, got {unknown}"
        )
    whole = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in grads.values()))
    worst = 0.0
    for path, grad in grads.items():
        their = grads_theirs.get(path, np.zeros_like(grad))
        size = max(np.linalg.norm(grad), 1e-6 * whole)
        difference = np.linalg.norm(grad - their) / size
        if not difference <= GRADIENT_RTOL:
            raise ValueError(
                f"{name}: both sides must compute the same gradients, got a relative "
                f"difference of {difference:.2g} in {path}"
            )
        worst = max(worst, float(difference))
    return {"loss": float(apart), "gradient": worst}
