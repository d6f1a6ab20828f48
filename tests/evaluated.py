"""Runs as evaluation leaves them, made up: for the tests of comparing."""

import pathlib

from vae_jax import comparison

PROTOCOL = {
    "extractor": "pixels",
    "sha256": "ab12",
    "n_real": 500,
    "n_fake": 500,
    "image_shape": [8, 8, 1],
    "pixels": "mean of p(x|z), rounded to 0 ... 255",
}
NATS = {"n": 297, "unit": "nats per image"}
BITS = {"n": 297, "unit": "bits per value"}


def of_samples(value, unit="share", **more):
    sizes = {"n_real": 500, "n_fake": 500}
    return {"value": value, **more, **sizes, "unit": unit, "how": "from the prior"}


def evaluation():
    return {
        "split": "test",
        "checkpoint": "best",
        "epoch": 3,
        "trained_epochs": 3,
        "parameters": 1234,
        "resolution": [8, 8],
        "data": {"name": "digits", "test": 297, "image_shape": [8, 8, 1]},
        "bound_kind": "probability_mass",
        "numbers": {
            "elbo": {"value": -24.0171234, "standard_error": 0.187, **NATS},
            "recon": {"value": 20.6912345, "standard_error": 0.15, **NATS},
            "kl": {"value": 3.3258889, "standard_error": 0.031, **NATS},
            "bits_per_dim": {"value": 0.5414, "standard_error": 0.0042, **BITS},
            "active_units": {"value": 7, "n": 297, "unit": "of 10 latents"},
            "iw_bound": {
                "value": -23.5,
                "standard_error": 0.18,
                **NATS,
                "samples": 50,
                "how": "importance-weighted bound, 50 samples for each image",
            },
        },
    }


def with_samples():
    found = evaluation()
    found["samples"] = {
        "protocol": dict(PROTOCOL),
        "floor": {"fd_pixels": of_samples(0.5)},
        "prior": {
            "fd_pixels": of_samples(12.3456, "squared units"),
            "kid_pixels": of_samples(0.0123, "squared MMD", standard_error=0.002),
            "recall_pixels": of_samples(0.75),
        },
    }
    return found


def config(**changes):
    plain = {"exp_name": "vae", "data.binarize": "static", "model.name": "mlp"}
    tree = {"data": {}, "model": {}, "loss": {}, "train": {}, "optim": {}, "eval": {}}
    for field, value in (plain | changes).items():
        *section, name = field.split(".")
        (tree[section[0]] if section else tree)[name] = value
    return tree


def run(name="a", found=None, digests=None, images=None, **changes):
    folder = pathlib.Path("/runs", name)
    digests = {"test": "0a1b"} if digests is None else digests
    found, fields = found or evaluation(), config(**changes)
    return comparison.run_of(folder, found, fields, digests, images or {})


def changed(found, field, value):
    """The evaluation with one dotted field set."""
    *sections, last = field.split(".")
    part = found
    for section in sections:
        part = part[section]
    part[last] = value
    return found
