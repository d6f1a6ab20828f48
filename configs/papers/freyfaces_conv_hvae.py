"""The convolutional two-level VAE of Tomczak & Welling 2018 (arXiv:1705.07120).

With their VampPrior: --config=configs/papers/freyfaces_conv_hvae_vamp.py.

Run:     python main.py --config=configs/papers/freyfaces_conv_hvae.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.49 bits/dim, -log p(x) by 5000 importance-weighted samples; their table 1
Ours:    4.501 +- 0.043 on split 0 (docs/results.md); it ends by itself
         at epoch 513, of 8.5 to 11 s on two CPU cores
"""

from ml_collections import ConfigDict

from configs.papers import freyfaces_hvae


def get_config() -> ConfigDict:
    config = freyfaces_hvae.get_config()
    config.exp_name = "freyfaces_conv_hvae"
    config.model.name = "conv_hvae"
    return config
