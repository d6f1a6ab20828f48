"""Trains over eight simulated devices and over one, and prints what came of it.

Run by ``test_run_team.py``: XLA decides how many devices there are when it starts.
"""

import json
import re
import sys

import jax
import numpy as np

from configs import digits_cnn
from vae_jax import assembly, evaluate, mesh, train
from vae_jax.run import placement, team
from vae_jax.run.stepping import Feed

STEPS = 6
GROWING = {"name": "provae", "start_res": 4, "final_res": 8, "base_ch": 4, "min_ch": 2}
PLAIN = {"channels": (5, 6), "hidden_dim": 16}  # a convolution of each kind
CASES = {
    "mlp": ({"name": "mlp", **PLAIN}, {}),
    "cnn": ({"name": "cnn", **PLAIN}, {}),
    "cnn in parts": ({"name": "cnn", **PLAIN}, {"microbatches": 2}),
    "provae": (GROWING, {"remat": True}),
}


def job_of(model, fields, batch_size=64):
    config = digits_cnn.get_config()
    config.model.update(model)
    config.train.update(epochs=3, epochs_per_stage=(0, 3), **fields)
    config.data.update(limit=330, binarize="dynamic", valid_size=100)
    config.data.batch_size = (batch_size,)
    return assembly.build(config, assembly.load_data(config)), config


def trained(job, config, devices, how):
    feed = Feed(job, config.seed, how, devices)
    return feed.advance(job.initial_state(), job.plan[0].first_step + STEPS)


def bits(state):
    leaves = jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))
    return [np.asarray(leaf).tobytes() for leaf in leaves]


def found(name):
    model, fields = CASES[name]
    job, config = job_of(model, fields)
    eight, one = (mesh.of(jax.devices()[:num]) for num in (8, 1))
    placement.CHUNK_BYTES = 3 * 64 * 64  # three of the five batches
    alone = trained(job, config, one, "device")
    shared, again, streamed = (
        trained(job, config, eight, how) for how in ("device", "device", "stream")
    )
    phase = job.phase_of(int(shared.step))
    images, hparams = job.dataset.test.images, phase.hparams_at(int(shared.step))
    terms = phase.terms(shared.params, images, hparams)
    of_one = mesh.copied(jax.device_get(shared.params), one)
    expected = phase.terms(of_one, images, hparams)
    bound = evaluate.make_bound(phase.model, scale="unit", batch_size=50)
    weighted = [
        bound(params, images[:30], hparams, 7).bound
        for params in (shared.params, of_one)
    ]
    return {
        "steps": int(shared.step),
        "loss": [train.epoch_means(state)["loss"] for state in (alone, shared)],
        "same as itself": bits(shared) == bits(again),
        "streamed is the same": bits(shared) == bits(streamed),
        "devices": len(jax.tree.leaves(shared.params)[0].devices()),
        "elbo": [float(np.mean(found["elbo"])) for found in (expected, terms)],
        "iw": [float(np.mean(bounds)) for bounds in weighted],
        "compilations": phase.run_steps._cache_size(),
    }


def rows_of_a_device():
    """How many images each device multiplies, by the compiled program."""
    job, config = job_of(*CASES["mlp"], batch_size=40)
    eight = mesh.of(jax.devices())
    feed = Feed(job, config.seed, "device", eight)
    state = feed.begin(job.initial_state())
    (piece,) = feed.pieces(0, 1)
    phase = job.phases[0]
    lowered = phase.run_steps.lower(state, *piece, phase.hparams)
    text = lowered.compile().as_text()
    sizes = re.findall(r"= f32\[(\d+),(\d+)\]\S* (?:dot|custom-call)\(", text)
    return sorted({int(rows) for rows, _ in sizes})


def counts():
    """How many devices share batches of several sizes."""
    job, _ = job_of(*CASES["mlp"])
    (stage,) = job.plan
    return {
        f"{size}/{parts}/{wanted}": team.devices(
            (stage._replace(batch_size=size),), parts, wanted
        ).size
        for size, parts, wanted in [
            *[(64, 1, 0), (64, 16, 0), (12, 1, 0), (7, 1, 0), (5, 1, 4), (12, 1, 4)]
        ]
    }


if __name__ == "__main__":
    assert len(jax.devices()) == 8
    results = {name: found(name) for name in sys.argv[1:]}
    print(json.dumps({"rows": rows_of_a_device(), "counts": counts()} | results))
