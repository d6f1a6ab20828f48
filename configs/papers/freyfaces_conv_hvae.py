"""The convolutional two-level VAE of Tomczak & Welling 2018 (arXiv:1705.07120).

With their VampPrior: --config=configs/papers/freyfaces_conv_hvae_vamp.py.

Run:     python main.py --config=configs/papers/freyfaces_conv_hvae.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.49 bits/dim, -log p(x) by 5000 importance-weighted samples; their table 1
Ours:    not run to its end: it is made for a GPU; on two CPU cores an epoch takes
         17 to 19 s
"""

from ml_collections import ConfigDict

from configs.papers import freyfaces_hvae


def get_config() -> ConfigDict:
    config = freyfaces_hvae.get_config()
    config.exp_name = "freyfaces_conv_hvae"
    config.model.name = "conv_hvae"
    return config
