"""Pictures: numpy arrays in, one PNG file out.

Images are floats in [0, 1] (probabilities or means, never logits) of any height and
width, with one or three channels. Values outside are clipped, a pixel that is not
finite is magenta, and an image pixel is a whole number of picture pixels: no blur.

The same arrays give the same bytes, whatever the matplotlibrc. A file is written under
another name in its folder and renamed: it is whole or not there.
"""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Shaped, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from vae_jax import files

Path = str | os.PathLike
Array = Shaped[np.ndarray, "..."]  # shapes are checked here, with clearer errors
Points = Float[np.ndarray, "N Z"]
Cells = UInt8[np.ndarray, "N K H W 3"]
Names = tuple[Sequence[str], Sequence[str]]
DPI = 128  # a power of two: pixels to inches and back is exact
NAME_HEIGHT = 20  # picture pixels, of the name of a row
WHITE, MAGENTA = 255, (255, 0, 255)
# Ten colours for all kinds of colour vision: Petroff 2021 (arXiv:2107.02270).
COLOURS = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"]
COLOURS += ["#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"]
SPLITS = {"train": COLOURS[0], "valid": COLOURS[6]}
PANELS = {"elbo": "ELBO", "recon": "Reconstruction", "kl": "KL"}
STYLE = {
    # The defaults come first, or the user's matplotlibrc would show through.
    **{k: v for k, v in matplotlib.rcParamsDefault.items() if "backend" not in k},
    **dict.fromkeys(["axes.spines.right", "axes.spines.top", "legend.frameon"], False),
    **{"axes.axisbelow": True, "axes.grid": True, "grid.color": "#e6e6e6"},
    **{f"figure.constrained_layout.{side}_pad": 0.12 for side in "hw"},
}


def reconstructions(path: Path, originals: Array, recons: Array) -> None:
    """Draws each image of ``[N, H, W, C]`` directly above its reconstruction."""
    if originals.shape != recons.shape:
        raise ValueError(f"recons: must be {originals.shape}, got {recons.shape}")
    pairs = np.stack([_pixels("originals", originals), _pixels("recons", recons)], 1)
    rows = math.ceil(len(pairs) / 10)
    names = ["original", "reconstruction"] * rows, []
    _grid(path, pairs, -(-len(pairs) // rows), 8, names, title="Reconstructions")


def samples(path: Path, images: Array, title: str = "Samples") -> None:
    """Draws ``[N, H, W, C]`` in reading order on a grid that is nearly square."""
    cells = _pixels("samples", images)[:, None]
    _grid(path, cells, math.ceil(math.sqrt(len(cells))), 2, ([], []), title=title)


def table(path: Path, images: Array, names: Sequence[str], title: str) -> None:
    """Draws ``[R, T, H, W, C]``, a name beside each row if there are any."""
    pixels = _pixels("table", images, "R, T")
    cells = pixels.reshape(-1, 1, *pixels.shape[2:])
    _grid(path, cells, pixels.shape[1], 2, (names, []), title=title)


def interpolations(path: Path, images: Array) -> None:
    """Draws ``[R, T, H, W, C]``: each row goes from one image to another."""
    pixels = _pixels("interpolations", images, "R, T")
    columns, cells = pixels.shape[1], pixels.reshape(-1, 1, *pixels.shape[2:])
    names = [], ["from", *[""] * (columns - 2), "to"][:columns]
    _grid(path, cells, columns, 2, names, title="Interpolations")


def manifold(path: Path, images: Array, extent: Sequence | Array) -> None:
    """Draws ``[G, G, H, W, C]`` with z1 growing to the right and z2 upwards.

    ``images[i, j]`` is decoded from the i-th z2, row 0 at the bottom, and the j-th z1.
    ``extent`` holds the values along either axis: all G, or the first and the last.
    """
    pixels = _pixels("manifold", images, "G, G")[::-1]
    side, ticks = len(pixels), len(extent)
    if ticks not in (2, side):
        raise ValueError(f"extent: must hold 2 or {side} values, got {ticks}")
    names = [""] * side
    for i in np.linspace(0, ticks - 1, min(ticks, 5)).round().astype(int):
        names[round(i * (side - 1) / max(ticks - 1, 1))] = f"{extent[i]:.2f}"
    texts = {"title": "Decoded latent plane", "xlabel": "z1", "ylabel": "z2"}
    cells = pixels.reshape(-1, 1, *pixels.shape[2:])
    _grid(path, cells, side, 0, (names[::-1], names), **texts)


def latent_space(
    path: Path, means: Array, labels: Array | None, labelled: str = "class"
) -> None:
    """Draws posterior means ``[N, Z]`` coloured by label ``[N]``, of what ``labelled``.

    Z = 1 gives a histogram, Z = 2 the plane itself, more the plane of the first two
    principal components. Rows that are not finite are left out; the title counts.
    """
    if means.ndim != 2 or 0 in means.shape:
        raise ValueError(f"means: must be [N, Z], got {means.shape}")
    labels = np.zeros(len(means), int) if labels is None else labels
    if labels.shape != means.shape[:1]:
        raise ValueError(f"labels: must be [{len(means)}], got {labels.shape}")
    finite = np.isfinite(means).all(axis=1)
    title = f"Posterior means of {finite.sum()} images"
    title += f", {(~finite).sum()} not finite" if not finite.all() else ""
    points = means[finite].astype(float)
    names = ["z1", "z2" if points.shape[1] > 1 else "images"]
    if points.shape[1] > 2:
        points, shares = principal_components(points)
        names = [f"PC {i} ({shares[i - 1]:.0%} of the variance)" for i in (1, 2)]
    with _picture(path, 1024, 800, layout="constrained") as figure:
        axes = figure.add_subplot(title=title, xlabel=names[0], ylabel=names[1])
        _draw_classes(axes, points, labels[finite], labelled)


def curves(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws ELBO, reconstruction and KL of train and valid against the epoch.

    ``rows`` are lines of ``metrics.jsonl``. The first tenth of the epochs may leave a
    panel, which then says so. Values that are not finite are crosses at its bottom.
    Lines are interrupted between stages of growth.
    """
    with _picture(path, 1664, 480, layout="constrained") as figure:
        for axes, key in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
            axes.set(title=PANELS[key], xlabel="epoch", ylabel="nats per image")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            _draw_curves(axes, [r for r in rows if {"epoch", key} <= r.keys()], key)


def kl_per_dimension(path: Path, groups: Sequence[Sequence[float]]) -> None:
    """Draws the KL of every latent in nats, of each group the largest first.

    Values that are not finite are left out; the title counts the latents that are not.
    """
    if not groups or not all(len(group) for group in groups):
        raise ValueError(f"groups: must each hold some values, got {groups}")
    values = np.concatenate([np.sort(np.asarray(g, float))[::-1] for g in groups])
    finite, sizes = np.isfinite(values), [len(group) for group in groups]
    title = f"KL of {len(values)} latents"
    title += f", {(~finite).sum()} not finite" if not finite.all() else ""
    with _picture(path, 1024, 480, layout="constrained") as figure:
        texts = {"title": title, "ylabel": "nats"}
        axes = figure.add_subplot(xlabel="latents, the largest first", **texts)
        starts = np.cumsum([0, *sizes])
        for k, (start, size) in enumerate(zip(starts[:-1], sizes, strict=True)):
            where = np.arange(start, start + size)
            total = np.nansum(values[where]) if finite[where].any() else math.nan
            colour = COLOURS[k % len(COLOURS)]
            name = f"group {k}: {total:.2f} nats"
            axes.bar(where, np.where(finite, values, 0)[where], fc=colour, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.margins(x=0.01, y=0.15)  # room for the legend above few bars
        axes.legend()


def tile(images: Array, columns: int, gap: int = 0, fill: float | int = 0) -> Array:
    """Lays ``[N, H, W, C]`` out in reading order; ``fill`` is where no image is."""
    if images.ndim != 4 or 0 in images.shape or columns < 1:
        got = f"{images.shape} in {columns} columns"
        raise ValueError(f"tile: must be [N, H, W, C] in some columns, got {got}")
    edges = [(0, -len(images) % columns), (0, gap), (0, gap), (0, 0)]
    cells = np.pad(images, edges, constant_values=fill)
    _, height, width, channels = cells.shape
    whole = cells.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    whole = whole.reshape(-1, columns * width, channels)
    return whole[: len(whole) - gap, : columns * width - gap]


def principal_components(points: Points) -> tuple[Points, Float[np.ndarray, " Z"]]:
    """Coordinates, every axis's largest loading positive, and shares of variance."""
    centred = points - points.sum(axis=0) / max(len(points), 1)
    _, variances, axes = np.linalg.svd(centred.T @ centred)
    loading = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], axis=1)
    return centred @ (axes * np.sign(loading)).T, variances / (variances.sum() or 1.0)


def _pixels(what: str, images: Array, lead: str = "N") -> UInt8[np.ndarray, "... 3"]:
    shape, wanted = images.shape, f"{lead}, H, W, C"
    skewed = lead == "G, G" and shape[:1] != shape[1:2]
    wrong = len(shape) != len(wanted.split()) or 0 in shape or skewed
    if wrong or shape[-1] not in (1, 3):
        raise ValueError(f"{what}: must be [{wanted}] with C of 1 or 3, got {shape}")
    if images.dtype.kind != "f":
        raise TypeError(f"{what}: must be floats in [0, 1], got {images.dtype}")
    finite = np.isfinite(images).all(axis=-1, keepdims=True)
    levels = np.rint(255 * np.clip(np.where(finite, images, 0), 0, 1))
    return np.where(finite, levels, MAGENTA).astype(np.uint8)


@contextlib.contextmanager
def _picture(path: Path, width: int, height: int, **options: Any) -> Iterator[Figure]:
    """A figure of that many pixels, which becomes the file when the block ends well."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, **options)
        yield figure
        with files.replacing(pathlib.Path(path)) as partial:
            figure.savefig(partial, format="png")


def _grid(
    path: Path, cells: Cells, columns: int, gap: int, names: Names, **texts: str
) -> None:
    """Draws cells of K images, one below the other, with names of rows and columns."""
    tall, wide = cells.shape[2:4]
    factor = max(1, min(round(84 / max(tall, wide)), 1200 // (columns * wide)))
    cells = cells.repeat(factor, axis=2).repeat(factor, axis=3)
    tall, wide = factor * tall, factor * wide
    # Rows of names are so far apart that one can read them; a plane has no gaps.
    apart = NAME_HEIGHT - tall if names[0] and gap else 0
    gap, within = max(gap, apart), max(2, apart)
    stacks = np.stack([tile(cell, 1, within, WHITE) for cell in cells])
    canvas = tile(stacks, columns, gap, WHITE)
    height, width, _ = canvas.shape
    tops = range(0, height, stacks.shape[1] + gap)
    rows = [top + k * (tall + within) for top in tops for k in range(cells.shape[1])]
    with _picture(path, width, height) as figure:
        axes = figure.add_axes((0, 0, 1, 1), frameon=False, **texts)
        axes.set(ylim=(height, 0), xlim=(0, width))
        for axis, starts, size, its in (
            (axes.yaxis, rows, tall, names[0]),
            (axes.xaxis, range(0, width, wide + gap), wide, names[1]),
        ):
            axis.set_ticks(np.array(starts) + size / 2 if its else [], its)
        axes.tick_params(length=0, grid_alpha=0)
        # Room for the texts, in whole pixels: the canvas is copied, not resampled.
        box = axes.get_tightbbox()
        left, bottom = 16 + math.ceil(-box.x0), 16 + math.ceil(-box.y0)
        wide, tall = left + math.ceil(box.x1) + 16, bottom + math.ceil(box.y1) + 16
        figure.set_size_inches(wide / DPI, tall / DPI)
        axes.set_position((left / wide, bottom / tall, width / wide, height / tall))
        figure.figimage(canvas, left, bottom, zorder=-1)


def _draw_classes(
    axes: Axes, points: Points, labels: Shaped[np.ndarray, " N"], labelled: str
) -> None:
    names, classes = np.unique(labels, return_inverse=True)
    turbo = matplotlib.colormaps["turbo"](np.linspace(0, 1, len(names)))
    colours = np.array(COLOURS) if len(names) <= len(COLOURS) else turbo
    if points.shape[1] == 1:
        edges = np.histogram_bin_edges(points, 60)
        for k in reversed(range(len(names))):  # a stack, the tallest drawn first
            axes.hist(points[classes <= k], edges, fc=colours[k], histtype="stepfilled")
    else:
        # In one fixed random order, or the last class would hide the others.
        order = np.random.default_rng(0).permutation(len(points))
        size = np.clip(40_000 / max(len(points), 1), 6, 40)
        axes.scatter(*points[order, :2].T, size, colours[classes[order]], linewidths=0)
        axes.set_aspect("equal", adjustable="datalim")
    if 1 < len(names) <= 50:  # something to tell apart, and not too much
        keys = [Patch(color=colours[k], label=name) for k, name in enumerate(names)]
        layout = {"loc": "outside right center", "ncols": math.ceil(len(names) / 25)}
        axes.figure.legend(handles=keys, title=labelled, **layout)
        halo = [withStroke(linewidth=3, foreground="white")]
        look = {"ha": "center", "va": "center", "weight": "bold", "path_effects": halo}
        for k, name in enumerate(names if points.shape[1] > 1 else ()):
            axes.text(*np.median(points[classes == k, :2], axis=0), name, **look)


def _draw_curves(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    drawn, stages = np.empty((2, 0)), {r["epoch"]: r.get("stage", 0) for r in rows}
    ground = axes.get_xaxis_transform()
    for split, colour in SPLITS.items():
        points = {r["epoch"]: r[key] for r in rows if r.get("split") == split}
        if not points:
            continue
        epochs, values = np.array(sorted(points.items()), float).T
        bad = ~np.isfinite(values)
        # Stages of growth see images of other sizes: lines end where a stage does.
        starts = 1 + np.flatnonzero(np.diff([stages[epoch] for epoch in epochs]))
        shown = np.insert([epochs, np.where(bad, np.nan, values)], starts, np.nan, 1)
        for epoch in epochs[starts]:
            # No line, which would count as data where the legend looks for room.
            axes.vlines(epoch - 0.5, 0, 1, "0.6", lw=1, transform=ground)
        line, name = ".-" if len(values) <= 60 else "-", f"{split} {values[-1]:.2f}"
        axes.plot(*shown, line, c=colour, label=name)
        axes.plot(epochs[bad], 0.02 + 0 * epochs[bad], "x", c=colour, transform=ground)
        axes.set_xlim(np.add(axes.dataLim.intervalx, [-0.5, 0.5]))
        axes.legend()
        drawn = np.append(drawn, [epochs[~bad], values[~bad]], axis=1)
    epochs, values = drawn
    if not len(values):
        return
    every = np.unique(epochs)
    late = values[epochs >= every[math.ceil(len(every) / 10) if len(every) > 4 else 0]]
    span = max(np.ptp(late), 1e-6 * np.abs(late).max()) or 1.0
    low = max(values.min(), late.min() - span)
    high = min(values.max(), late.max() + span)
    # Of a value that stays the same, so much that the axis needs no offset.
    margin = max(0.05 * span, 5e-4 * np.abs(late).max())
    axes.set_ylim(low - margin, high + margin)
    if values.min() < low or values.max() > high:
        axes.set_xlabel("epoch (the first ones are off the scale)")
