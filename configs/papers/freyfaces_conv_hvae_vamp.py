"""The convolutional two-level VAE of Tomczak & Welling 2018 with their VampPrior.

Run:     python main.py --config=configs/papers/freyfaces_conv_hvae_vamp.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.45 bits/dim, -log p(x) by 5000 importance-weighted samples; table 1 of
         arXiv:1705.07120
Ours:    not run to its end: it is made for a GPU
"""

from ml_collections import ConfigDict

from configs.papers import freyfaces_hvae_vamp


def get_config() -> ConfigDict:
    config = freyfaces_hvae_vamp.get_config()
    config.exp_name = "freyfaces_conv_hvae_vamp"
    config.model.name = "conv_hvae"
    return config
