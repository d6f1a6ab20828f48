"""ProVAE on grey MNIST: one group of latents, grown from 4x4 to 32x32 pixels.

Run:     python main.py --config=configs/mnist_provae.py
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "mnist_provae"
    config.model.name = "provae"
    return config
