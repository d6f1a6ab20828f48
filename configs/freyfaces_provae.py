"""Progressively grown VAE on FreyFaces: from 4x3 to 32x24 cells, learned sigmas.

Run:     python main.py --config=configs/freyfaces_provae.py
Expect:  test ELBO 985 +- 18 nats, 5.46 bits/dim, 12 minutes of one CPU core
         (docs/results.md)
"""

from ml_collections import ConfigDict

from configs import freyfaces_mlp


def get_config() -> ConfigDict:
    config = freyfaces_mlp.get_config()
    config.exp_name = "freyfaces_provae"
    config.model.name = "provae"
    config.model.base_ch = 64
    # Each stage has a sigma of its own, which falls by e in 1000 steps. From 0.3 the
    # last stage's falls to 0.03, and its latents enter a few at a time, as samples
    # need; see configs/freyfaces_mlp.py.
    config.loss.sigma = 0.3
    config.train.epochs_per_stage = (30, 30, 60, 240)
    return config
