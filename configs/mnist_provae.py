"""ProVAE on grey MNIST: one group of latents, grown from 4x4 to 32x32 pixels.

Run:     python main.py --config=configs/mnist_provae.py
Expect:  with the original's --config.train.epochs_per_stage=10 and
         --config.data.valid_size=0, test ELBO -96.67 +- 0.25 nats, train loss 97.28,
         83 minutes on two busy CPU cores (docs/results.md)
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "mnist_provae"
    config.model.name = "provae"
    # Early stages learn fast, and are cheap. At equal epochs in all, a long last one is
    # 4 nats better than four of the same length.
    config.train.epochs_per_stage = (4, 6, 10, 20)
    return config
