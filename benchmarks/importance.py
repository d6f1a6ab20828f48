"""Time of the importance-weighted bound over that of its matrix products.

    python -m benchmarks.importance
    python -m benchmarks.importance --images=200 --samples=5000

The model is that of ``configs/mnist_mlp.py``, untrained, as no time depends on values.
The floor is the products of its decoder for every draw, at the rate of the fastest
product of square matrices measured in between. The time grows with images times
samples: 10,000 images with 5000 samples each are 50,000,000 draws.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import cases, flops, ours
from configs import mnist_mlp
from vae_jax import evaluate, likelihoods, models
from vae_jax.contracts import Hparams


def main() -> None:
    """Prints one line for each round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    likelihood = likelihoods.build(
        "bce", sigma=1.0, sigma_learnable=False, include_const=True, bin_width=1 / 255
    )
    sizes = mnist_mlp.get_config().model
    model = models.build(image_shape=(28, 28, 1), likelihood=likelihood, **{**sizes})
    params = model.init(jax.random.key(0))
    images = 255 * (cases.images(args.images)[0] > 127).astype(np.uint8)
    bound = evaluate.make_bound(model, scale="unit", batch_size=500)
    hparams = Hparams(*(jnp.float32(1.0) for _ in Hparams._fields))
    per_draw = flops.forward(flops.decoder(mnist_mlp.get_config(), cases.SHAPE))
    operations = per_draw * args.images * args.samples
    bound(params, images, hparams, args.samples)  # compiles
    ratios, times = [], []
    for _ in range(args.rounds):
        floor = operations / ours.peak(1.0)
        began = time.perf_counter()
        bound(params, images, hparams, args.samples)
        times.append(time.perf_counter() - began)
        ratios.append(times[-1] / floor)
        print(f"{times[-1]:.2f} s, {ratios[-1]:.2f} times the floor", flush=True)
    rate = args.images * args.samples / statistics.median(times)
    print(
        f"median {statistics.median(ratios):.2f} times the floor; {rate:,.0f} draws/s, "
        f"so {50e6 / rate / 60:.1f} min for 5000 samples of 10,000 images"
    )


if __name__ == "__main__":
    main()
