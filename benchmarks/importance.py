"""Time of the importance-weighted bound over that of the decoder's matrix products.

    python -m benchmarks.importance --out=FOLDER
    python -m benchmarks.importance --images=10000           the whole of it

For the MLP of mnist_mlp, untrained, as the time does not depend on weights. Every
sample of every image is decoded: with K = 5000 for each of 10,000 images 5e7 times
0.963 MFLOP, 48 TFLOP, which at 160 GFLOP/s take 5 minutes. The time grows with the
number of images, so a few give the ratio: 200 are 1/50 of all, a floor of 6 s there.
The peak is that of products of large matrices, measured in the same rounds.
"""

import argparse
import pathlib
import time
from typing import Any

import jax
import numpy as np

from benchmarks import cases, flops, ours, summary
from vae_jax import assembly, evaluate

ALL_IMAGES, ALL_SAMPLES = 10_000, 5000
COLUMNS = ("seconds", "floor, s", "over the floor", "10,000 images, K = 5000, s")


def main(argv: list[str] | None = None) -> None:
    """Measures and writes a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.importance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default="importance")
    args = parser.parse_args(argv)
    machine = summary.machine()
    found = {"machine": machine} | measure(args.images, args.samples, args.rounds)
    summary.write(args.out, "importance", found, text(found))


def measure(num_images: int, samples: int, rounds: int) -> dict[str, Any]:
    """Seconds and floors of every round; what compiles is not in them."""
    config = cases.config(cases.find("mlp"), {"data.batch_size": (1,)})
    images, source = cases.images(num_images)
    job = assembly.build(config, ours.dataset(images))
    phase, params = job.phases[-1], job.initial_state().params
    bound = evaluate.make_bound(
        phase.model, scale=config.data.scale, batch_size=config.eval.batch_size
    )
    bound(params, images, phase.hparams, 1)
    decoder = flops.decoder(config, images.shape[1:])
    work = num_images * samples * flops.forward(decoder)
    seconds, peaks = [], []
    for _ in range(rounds):
        peaks.append(ours.peak_flops(1.0))
        began = time.perf_counter()
        values = bound(params, images, phase.hparams, samples)
        seconds.append(time.perf_counter() - began)
    return {
        "device": jax.devices()[0].device_kind,
        "source": source,
        "images": num_images,
        "samples": samples,
        "bound": float(np.mean(values.bound)),
        "flops": work,
        "peak_flops": peaks,
        "seconds": seconds,
    }


def text(found: dict[str, Any]) -> str:
    """A table, and what has to be known to read it."""
    floors = [found["flops"] / peak for peak in found["peak_flops"]]
    of_all = ALL_IMAGES * ALL_SAMPLES / (found["images"] * found["samples"])
    row = (
        summary.spread(found["seconds"]),
        summary.spread(floors),
        summary.ratios(found["seconds"], floors),
        summary.spread([of_all * seconds for seconds in found["seconds"]]),
    )
    head = (
        f"K = {found['samples']} for each of {found['images']} images, "
        f"{found['source']}, on {found['device']}, {found['machine']}; "
        f"mean bound {found['bound']:.2f} nats. The last column is the first times "
        f"{of_all:g}."
    )
    return f"{head}\n\n{summary.table(COLUMNS, [row])}"


if __name__ == "__main__":
    main()
