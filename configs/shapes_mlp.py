"""Dense VAE on drawn shapes in colour, 32x32: needs no network and no files.

Run:     python main.py --config=configs/shapes_mlp.py
Expect:  test ELBO -155.7 +- 1.8 nats, 2 minutes on two busy CPU cores
         (docs/results.md)
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "shapes_mlp"
    config.data.name = "shapes"
    config.data.image_size = (32, 32)
    config.data.channels = 3
    config.data.num_images = 12_000
    config.data.valid_size = 1_000
    config.data.test_size = 1_000
    config.model.z_dim = (10,)  # the factors are six
    return config
