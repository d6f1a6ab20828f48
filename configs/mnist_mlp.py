"""Dense VAE on grey MNIST: the original system's baseline.

Run:     python main.py --config=configs/mnist_mlp.py
Quick:   python main.py --config=configs/mnist_mlp.py --config.train.epochs=1
Expect:  test ELBO -99.80 +- 0.26 nats, 1.5 minutes on two CPU cores
         (docs/results.md)
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "mnist_mlp"
    return config
