"""One side of a comparison in a process of its own, which works only when told to.

    python -m benchmarks.worker SIDE MODEL BATCH_SIZE

A line on standard input is an order and a line on standard output its answer, in JSON:
``steps N`` takes N steps and answers with the seconds; ``gradient PATH`` writes ours
there, or compares PyTorch's with it; ``peak`` measures products of square matrices.
The first line out, unasked, says that the first step is done.
"""

import json
import os
import pickle
import resource
import sys
import time

STARTED = time.monotonic()
SIDES = ("ours", "usual", "memory", "compiled")
PEAK_SIZE = 2048


def make(side: str, model: str, batch_size: int):
    """The side, which imports one of the two libraries."""
    if side == "ours":
        from benchmarks.ours import Ours

        return Ours(model, batch_size)
    from benchmarks.theirs import Theirs

    return Theirs(model, batch_size, side)


def peak() -> float:
    """Floating-point operations a second in the best of ten matrix products."""
    import jax

    a = jax.random.normal(jax.random.key(0), (PEAK_SIZE, PEAK_SIZE))
    product, best = jax.jit(lambda a: a @ a), float("inf")
    for _ in range(11):
        start = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * PEAK_SIZE**3 / best


def main(side: str, model: str, batch_size: str) -> None:
    """Obeys until there are no more orders."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    worker = make(side, model, int(batch_size))
    worker.steps(1)
    first = time.monotonic() - STARTED
    found = {"first_step_seconds": first, "device": worker.device()}
    if side != "ours":
        found["flops"] = worker.flops()
    print(json.dumps(found), file=answers)
    for line in sys.stdin:
        order, *given = line.split()
        if order == "steps":
            start = time.perf_counter()
            worker.steps(int(given[0]))
            answer = time.perf_counter() - start
        elif order == "gradient" and side == "ours":
            with open(given[0], "wb") as file:
                pickle.dump(worker.gradient(), file)
            answer = True
        elif order == "gradient":
            with open(given[0], "rb") as file:
                answer = worker.agreement(pickle.load(file))
        elif order == "peak":
            answer = peak()
        else:
            resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            answer = {"resident": resident, "device": worker.peak_bytes()}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
