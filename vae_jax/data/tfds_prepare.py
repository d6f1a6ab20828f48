"""Sets that are prepared nowhere yet: TFDS downloads them and writes its own files."""

import difflib
import importlib.util
import logging
import re
import urllib.parse
from typing import Any

from vae_jax.data import cache, download
from vae_jax.data.dataset import Unavailable

log = logging.getLogger("vae_jax")

Builder = Any  # a tfds.core.DatasetBuilder

FORMAT = "array_record"  # the only one that TFDS writes without TensorFlow
CONNECT_SECONDS = 3.0
ANYWHERE = (
    "https://storage.googleapis.com/"  # asked where a set's own hosts are unknown
)


def prepare(asked: str, directory: str | None) -> Builder:
    """The builder of a set that TFDS has just prepared in the cache.

    Args:
        asked: the set's name in TFDS, perhaps with a config or a version.
        directory: where to look for the files of FreyFaces.

    Raises:
        ValueError: if TFDS knows no such set, config or version.
        Unavailable: if its network cannot be reached, TensorFlow is not there or TFDS
            fails.
        FileNotFoundError: if it is FreyFaces, and its file is in no place.
    """
    from vae_jax.data import tfds_freyfaces  # adds it to the sets that TFDS knows

    if _bare(asked) == tfds_freyfaces.FreyFaces.name:
        builder = _builder(asked, directory=directory)
        log.info("tfds: preparing %s in %s", asked, builder.data_dir)
        builder.download_and_prepare()
        return builder
    builder = _builder(asked)
    _check_means(builder)
    log.info("tfds: preparing %s in %s", asked, builder.data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # of any kind: each set has code of its own
        raise Unavailable(f"tfds: preparing {asked}: {error}") from error
    return builder


def _bare(asked: str) -> str:
    return re.split("[/:]", asked)[0]


def _builder(asked: str, **options: Any) -> Builder:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import naming

    known = tfds.list_builders(with_community_datasets=False)
    name = _bare(asked)
    if name not in known:
        near = difflib.get_close_matches(name, known)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(
            f"data.name: must be a set that is prepared or that TFDS knows, "
            f"got 'tfds:{asked}'{hint}"
        )
    _, parts = naming.parse_builder_name_kwargs(asked)
    where = {"data_dir": cache.path("tfds"), "file_format": FORMAT}
    try:
        return tfds.builder_cls(name)(**where, **parts, **options)
    except ImportError as error:  # some sets' own modules need TensorFlow
        raise Unavailable(f"tfds: preparing {asked}: {error}") from error
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"data.name: must be a config and a version that TFDS has, "
            f"got 'tfds:{asked}': {error}"
        ) from error


def _check_means(builder: Builder) -> None:
    """Refuses at once what TFDS would retry for minutes, or download in vain."""
    reasons = []
    hosts = {_host(url) for url in builder.url_infos or [ANYWHERE]}
    unreachable = download.probe(sorted(hosts), CONNECT_SECONDS)
    if len(unreachable) == len(hosts):
        reasons += [f"download: {url}: {why}" for url, why in unreachable.items()]
    if importlib.util.find_spec("tensorflow") is None:
        reasons.append(
            f"tfds: preparing {builder.name} needs TensorFlow, which is not installed"
        )
    if reasons:
        raise Unavailable("\n".join(reasons))


def _host(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"
