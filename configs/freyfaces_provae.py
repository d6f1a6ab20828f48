"""Progressively grown VAE on FreyFaces: from 4x3 to 32x24 cells, learned sigmas.

Run:     python main.py --config=configs/freyfaces_provae.py
"""

from ml_collections import ConfigDict

from configs import freyfaces_mlp


def get_config() -> ConfigDict:
    config = freyfaces_mlp.get_config()
    config.exp_name = "freyfaces_provae"
    config.model.name = "provae"
    config.model.base_ch = 64
    # Each stage has a sigma of its own, which the last one needs 3200 steps to learn.
    config.train.epochs_per_stage = (30, 30, 60, 240)
    return config
