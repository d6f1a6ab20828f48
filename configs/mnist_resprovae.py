"""ResProVAE on grey MNIST: every stage adds a residual, from latents of its own.

Run:     python main.py --config=configs/mnist_resprovae.py
"""

from ml_collections import ConfigDict

from configs import mnist_provae


def get_config() -> ConfigDict:
    config = mnist_provae.get_config()
    config.exp_name = "mnist_resprovae"
    config.model.name = "resprovae"
    return config
