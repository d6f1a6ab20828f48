"""Convolutional VAE on grey MNIST.

Run:     python main.py --config=configs/mnist_cnn.py
Quick:   python main.py --config=configs/mnist_cnn.py --config.train.epochs=1
Expect:  test ELBO -99.89 +- 0.24 nats, 5.5 minutes on two CPU cores
         (docs/results.md)
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "mnist_cnn"
    config.model.name = "cnn"
    config.model.hidden_layers = 0  # from the convolutions straight to the latent
    return config
