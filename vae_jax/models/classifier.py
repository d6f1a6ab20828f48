"""A small classifier of grey 28x28 images; what it sees in them measures samples."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax.contracts import Params
from vae_jax.models.conv import Conv

IMAGE_SHAPE = (28, 28, 1)
CLASSES = 10
# Few enough that 65 images can give a covariance of full rank and 10,000 determine it
# well; several times the 9 directions that ten classes alone would need.
FEATURES = 64
# (channels, size, stride) of each convolution: 28 -> 14 -> 7 -> 7 -> 4.
LAYERS = ((24, 5, 2), (48, 3, 2), (48, 3, 1), (64, 3, 2))


class Network(nn.Module):
    """Image to features and logits."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B 28 28 1"]
    ) -> tuple[Float[Array, "B 64"], Float[Array, "B 10"]]:
        for i, (channels, size, stride) in enumerate(LAYERS):
            x = nn.relu(Conv(channels, size, stride, name=f"conv_{i}")(x))
        # Taken before its relu, a feature varies with every image: none is constant,
        # which would make the covariance singular.
        features = nn.Dense(FEATURES, name="features")(x.reshape(len(x), -1))
        return features, nn.Dense(CLASSES, name="logits")(nn.relu(features))


NETWORK = Network()


def init(key: PRNGKeyArray) -> Params:
    """Random parameters: ``{layer: {"kernel": ..., "bias": ...}}`` in float32."""
    return NETWORK.init(key, jnp.zeros((1, *IMAGE_SHAPE)))["params"]


def logits(params: Params, x: Float[Array, "B 28 28 1"]) -> Float[Array, "B 10"]:
    """Unnormalised log-probabilities of the classes, for pixels in [0, 1]."""
    return NETWORK.apply({"params": params}, x)[1]


def features(params: Params, x: Float[Array, "B 28 28 1"]) -> Float[Array, "B 64"]:
    """What the last layer classifies by, before the relu, for pixels in [0, 1]."""
    return NETWORK.apply({"params": params}, x)[0]


def shapes() -> Params:
    """``init``'s tree with ``jax.ShapeDtypeStruct`` leaves; nothing is computed."""
    return jax.eval_shape(init, jax.random.key(0))
