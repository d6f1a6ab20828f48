"""``--mode=compare``: one table of several runs, from the files that they left."""

import pathlib
import shlex
from collections.abc import Sequence

from vae_jax import comparison, experiment, files, per_image
from vae_jax.run.session import foreseen

LOGGER = experiment.LOGGER


def compare(workdirs: Sequence[str], out: str) -> None:
    """Shows a table of the runs, and writes it to ``comparison.md`` and ``.csv``.

    Args:
        workdirs: two run directories or more, each with an ``eval.json``.
        out: the folder to write to, made if need be.
    """
    with foreseen():
        found = comparison.compare([_read(workdir) for workdir in workdirs])
        paths = _write(found, out)
    LOGGER.info("%s", comparison.as_markdown(found, turned=True))
    LOGGER.info("written: %s and %s", *paths)


def _read(workdir: str) -> comparison.Run:
    folder = pathlib.Path(workdir)
    config, found = folder / "config.json", folder / "eval.json"
    if not config.is_file():
        raise FileNotFoundError(f"--workdirs: must name runs, but there is no {config}")
    if not found.is_file():
        raise FileNotFoundError(
            f"--workdirs: must name evaluated runs, but there is no {found}; to make "
            f"it: python main.py --mode=eval --workdir={shlex.quote(workdir)}"
        )
    data, images = folder / experiment.DATA, folder / per_image.file_name()
    return comparison.run_of(
        folder,
        files.read_json(found),
        files.read_json(config),
        files.read_json(data) if data.is_file() else {},
        per_image.read(images) if images.is_file() else {},
    )


def _write(found: comparison.Comparison, out: str) -> tuple[pathlib.Path, pathlib.Path]:
    folder = pathlib.Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        markdown, table = folder / "comparison.md", folder / "comparison.csv"
        files.write_text(markdown, comparison.as_markdown(found))
        files.write_text(table, comparison.as_csv(found))
    except OSError as error:
        raise OSError(f"--out: must be writable, got {out}: {error}") from error
    return markdown.absolute(), table.absolute()
