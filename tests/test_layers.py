"""Modules import only from layers below their own, and few know the heavy libraries."""

import ast
import pathlib
import re

import pytest

import vae_jax

LAYERS = [
    {
        "checksums",
        "commands",
        "consistency",
        "contracts",
        "distances",
        "files",
        "growth",
        "hotspots",
        "losses",
        "machine",
        "mesh",
        "pixels",
        "sampling",
        "settings",
        "spectrum",
    },
    {
        "adam",
        "data",
        "groups",
        "likelihoods",
        "mixture",
        "models",
        "objectives",
        "per_image",
        "schedules",
    },
    {"evaluate", "train"},
    {
        "assembly",
        "checkpoint",
        "comparison",
        "compilation",
        "experiment",
        "extractors",
        "html",
        "inspection",
        "lock",
        "logs",
        "metrics",
        "pacing",
        "plots",
        "profiler",
        "progress",
        "quality",
        "report",
        "tensorboard",
    },
    {"run"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ROOT = pathlib.Path(vae_jax.__file__).parent
SOURCES = [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]
ONLY_IN = {
    "flax": {"models"},
    "orbax": {"checkpoint"},
    "etils": {"compilation"},
    "matplotlib": {"plots"},
    "tensorboardX": {"tensorboard"},
    "tensorflow_datasets": {"data"},
    "PIL": {"data", "plots"},
    "tqdm": {"data", "progress"},
    "urllib": {"data"},
    "sklearn": {"mixture"},
}


def own_name(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, *rest = node.module.split(".")
            if package == "vae_jax":
                names = rest[:1] or [alias.name for alias in node.names]
                yield from (name for name in names if name != "__version__")
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("vae_jax."):
                    yield alias.name.split(".")[1]


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    own = own_name(path)
    above = {m for m in imported_modules(path) if m != own and RANK[m] >= RANK[own]}
    assert not above, f"{own} (layer {RANK[own]}) imports {sorted(above)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_library_is_imported_only_where_it_belongs(path):
    own = own_name(path)
    misplaced = {p for p in imported_packages(path) if own not in ONLY_IN.get(p, {own})}
    assert not misplaced


def test_every_module_has_a_layer():
    assert {own_name(path) for path in SOURCES} == set(RANK)


def test_the_guide_shows_every_layer():
    guide = (ROOT.parent / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| \d \|(.*?)\|", guide, re.MULTILINE)
    shown = [{name.strip("`/") for name in row.split()} for row in rows]
    assert shown == LAYERS
