"""The config of an existing run: ``--config=configs/saved.py:RUN/config.json``.

``main.py`` uses it where ``--workdir`` names a run and no ``--config`` is given. It
reads JSON and nothing else: a run directory from somebody else executes no code.
"""

import json
import pathlib

from ml_collections import ConfigDict

from configs import base


def get_config(path: str) -> ConfigDict:
    config = base.get_config()
    config.lock()
    for field, value in flatten(json.loads(pathlib.Path(path).read_text())):
        if isinstance(value, list):
            value = tuple(value)
        config.update_from_flattened_dict({field: value})
    return config


def flatten(tree: dict, prefix: str = ""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
