"""The config of an existing run: ``--config=configs/saved.py:RUN/config.json``.

``main.py`` uses it where ``--workdir`` names a run and no ``--config`` is given. It
reads JSON and nothing else: a run directory from somebody else executes no code.
"""

import json
import pathlib

from ml_collections import ConfigDict

from configs import base
from vae_jax import settings


def get_config(path: str) -> ConfigDict:
    config = base.get_config()
    try:
        stored = json.loads(pathlib.Path(path).read_text())
        for field, value in settings.flat_of_run(stored).items():
            settings.check_field(field)
            value = tuple(value) if isinstance(value, list) else value
            config.update_from_flattened_dict({field: value})
    except (ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1]
        raise ValueError(f"{path}: must be the config of a run: {reason}") from error
    return config
