"""Pictures read back from their files, pixel by pixel where the layout is promised."""

import contextlib
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from vae_jax import files
from vae_jax.plots import drawing

MAGENTA = [255, 0, 255]


def images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def epoch(number, split="train", **values):
    return {"epoch": number, "split": split, "elbo": -99.0, "recon": 77.0} | values


def read(path):
    """The picture as bytes, without its alpha channel."""
    return np.rint(255 * imread(path)[..., :3]).astype(np.uint8)


def shown(image, factor):
    """An image as it must appear: rounded to bytes, in colour, each pixel a square."""
    levels = np.rint(255 * np.broadcast_to(image, (*image.shape[:2], 3)))
    return levels.astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)


def find(picture, image, factor):
    """Top and left edge of the only place where the picture holds the image."""
    wanted = shown(image, factor)
    height, width = wanted.shape[:2]
    starts = np.argwhere((picture == wanted[0, 0]).all(axis=-1))
    places = [
        (int(top), int(left))
        for top, left in starts
        if np.array_equal(picture[top : top + height, left : left + width], wanted)
    ]
    assert len(places) == 1
    return places[0]


def pictures(folder):
    """Draws one of each into the folder."""
    drawing.reconstructions(folder / "a.png", images(3, 8, 8, 1), images(3, 8, 8, 1))
    drawing.samples(folder / "b.png", images(5, 9, 7, 3))
    drawing.interpolations(folder / "c.png", images(2, 3, 4, 4, 1))
    drawing.manifold(folder / "d.png", images(3, 3, 4, 4, 1), [-1.0, 0.0, 1.0])
    means, labels = images(40, 5), np.arange(40) % 4
    drawing.latent_space(folder / "e.png", means, labels)
    drawing.curves(folder / "f.png", [epoch(1), epoch(2), epoch(2, "valid")])
    drawing.kl_per_dimension(folder / "g.png", [[0.1, 2.0], [0.5]])
    return sorted(folder.iterdir())


# The factor brings the longer side nearest to 84 pixels.
@pytest.mark.parametrize(
    ("shape", "factor"),
    [((8, 8, 1), 10), ((28, 28, 1), 3), ((28, 20, 1), 3), ((32, 32, 3), 3)],
)
def test_originals_stand_directly_above_their_reconstructions(tmp_path, shape, factor):
    originals, recons = images(12, *shape, seed=1), images(12, *shape, seed=2)
    drawing.reconstructions(tmp_path / "a.png", originals, recons)
    picture = read(tmp_path / "a.png")
    tops, lefts = [], []
    for original, recon in zip(originals, recons, strict=True):
        top, left = find(picture, original, factor)
        assert find(picture, recon, factor) == (top + factor * shape[0] + 2, left)
        tops.append(top)
        lefts.append(left)
    # Twelve pairs are two rows of six, eight pixels apart.
    assert np.diff(tops).tolist() == [0] * 5 + [2 * factor * shape[0] + 10] + [0] * 5
    assert set(np.diff(lefts[:6])) == {factor * shape[1] + 8}
    assert lefts[:6] == lefts[6:]


def test_names_of_rows_of_flat_images_stay_apart(tmp_path):
    originals, recons = images(3, 1, 33, 1, seed=1), images(3, 1, 33, 1, seed=2)
    drawing.reconstructions(tmp_path / "a.png", originals, recons)
    picture = read(tmp_path / "a.png")
    for original, recon in zip(originals, recons, strict=True):
        top, left = find(picture, original, 3)
        assert find(picture, recon, 3) == (top + 20, left)  # the height of a name


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_samples_fill_a_nearly_square_grid_in_reading_order(tmp_path, count):
    batch = images(count, 8, 6, 1)
    drawing.samples(tmp_path / "a.png", batch)
    picture = read(tmp_path / "a.png")
    places = [find(picture, image, factor=10) for image in batch]
    columns = {1: 1, 2: 2, 5: 3, 9: 3}[count]
    top, left = places[0]
    expected = [divmod(i, columns) for i in range(count)]
    assert places == [(top + 82 * row, left + 62 * column) for row, column in expected]


def test_interpolations_are_rows(tmp_path):
    batch = images(2, 3, 4, 4, 1)
    drawing.interpolations(tmp_path / "a.png", batch)
    picture = read(tmp_path / "a.png")
    top, left = find(picture, batch[0, 0], factor=21)
    assert find(picture, batch[0, 2], factor=21) == (top, left + 2 * 86)
    assert find(picture, batch[1, 0], factor=21) == (top + 86, left)


def test_a_table_has_a_name_beside_each_row(tmp_path):
    batch = images(2, 3, 4, 4, 1)
    drawing.table(tmp_path / "a.png", batch, ["one", "other"], "Title")
    drawing.table(tmp_path / "b.png", batch, [], "Title")
    named, bare = (read(tmp_path / f"{name}.png") for name in "ab")
    top, left = find(bare, batch[0, 0], factor=21)
    assert find(bare, batch[0, 2], factor=21) == (top, left + 2 * 86)
    assert find(bare, batch[1, 0], factor=21) == (top + 86, left)
    assert find(named, batch[1, 0], factor=21)[1] > left  # room for the names


@pytest.mark.parametrize("extent", [(-1.0, 1.0), np.array([-1.0, 0.0, 1.0])])
def test_the_manifold_has_low_z1_at_the_left_and_low_z2_at_the_bottom(tmp_path, extent):
    batch = images(3, 3, 4, 4, 1)
    drawing.manifold(tmp_path / "a.png", batch, extent)
    picture = read(tmp_path / "a.png")
    top, left = find(picture, batch[0, 0], factor=21)
    assert find(picture, batch[2, 0], factor=21) == (top - 2 * 84, left)
    assert find(picture, batch[0, 2], factor=21) == (top, left + 2 * 84)


def test_wide_grids_shrink_their_images_to_fit_a_page(tmp_path):
    drawing.manifold(tmp_path / "a.png", images(20, 20, 28, 28, 1), (-2.0, 2.0))
    height, width = read(tmp_path / "a.png").shape[:2]
    assert 20 * 28 * 2 < height < 20 * 28 * 2 + 150
    assert 20 * 28 * 2 < width < 20 * 28 * 2 + 150


def test_values_outside_are_clipped_and_pixels_that_are_not_finite_are_magenta(
    tmp_path,
):
    image = np.array([[-1.0, 2.0], [np.nan, np.inf]], np.float32)
    drawing.samples(tmp_path / "a.png", image.reshape(1, 2, 2, 1))
    picture = read(tmp_path / "a.png")
    top, left = np.argwhere((picture == MAGENTA).all(axis=-1)).min(axis=0)
    assert picture[top - 1, left].tolist() == [0, 0, 0]
    assert picture[top - 1, left + 42].tolist() == [255, 255, 255]
    assert (picture[top : top + 42, left : left + 84] == MAGENTA).all()


def test_tile_is_the_grid_written_out_by_hand():
    a, b, c = images(3, 2, 4, 3)
    column, row = np.full((2, 1, 3), 7.0), np.full((1, 9, 3), 7.0)
    top = np.concatenate([a, column, b], axis=1)
    bottom = np.concatenate([c, column, np.full((2, 4, 3), 7.0)], axis=1)
    tiled = drawing.tile(np.stack([a, b, c]), columns=2, gap=1, fill=7)
    np.testing.assert_array_equal(tiled, np.concatenate([top, row, bottom]))


def test_tile_without_gaps_keeps_type_and_values():
    batch = np.arange(12, dtype=np.uint8).reshape(2, 2, 3, 1)
    tiled = drawing.tile(batch, columns=2)
    assert tiled.dtype == np.uint8
    np.testing.assert_array_equal(tiled, np.concatenate(batch, axis=1))


def test_principal_components_of_a_stretched_cross_are_its_arms():
    # Points at +-3 (0.6, 0.8) and +-1 (-0.8, 0.6): variances 9 to 1. The signs follow
    # from the largest loadings, 0.8 of the long arm and 0.8 of the turned short one.
    long, short = 3 * np.array([0.6, 0.8]), np.array([0.8, -0.6])
    points = np.array([1.0, 1.0]) + np.stack([long, -long, short, -short])
    scores, shares = drawing.principal_components(points)
    expected = [[3, 0], [-3, 0], [0, 1], [0, -1]]
    np.testing.assert_allclose(scores, expected, atol=1e-12)  # float64 rounding
    np.testing.assert_allclose(shares, [0.9, 0.1])


def test_principal_components_of_equal_points_are_zero():
    scores, shares = drawing.principal_components(np.ones((4, 3)))
    assert not scores.any()
    assert not shares.any()


@pytest.fixture
def elbo_panel(monkeypatch):
    """Draws the curves of rows, in no file, and gives the first of their axes."""
    figures = []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *_, **__: figures.append(figure)
    )
    monkeypatch.setattr(files, "replacing", contextlib.nullcontext)

    def draw(*rows):
        drawing.curves("", rows)
        figures[-1].draw_without_rendering()
        return figures[-1].axes[0]

    return draw


def test_the_axis_of_a_single_value_has_plain_numbers(elbo_panel):
    low, high = elbo_panel(epoch(1, elbo=-94.27)).get_ylim()
    assert high - low == pytest.approx(94.27e-3)  # in which ticks need no offset
    assert low < -94.27 < high


def test_the_axis_of_a_run_that_has_converged_is_that_of_its_late_epochs(elbo_panel):
    values = [-3000.0, *np.linspace(-1802, -1800, 40)]
    axes = elbo_panel(*(epoch(i, elbo=v) for i, v in enumerate(values, 1)))
    low, high = axes.get_ylim()
    assert -1806 < low < -1802 < -1800 < high < -1798


def test_no_legend_lies_on_the_end_of_a_curve(elbo_panel):
    ends = {"train": (-2.0, -5.4, -3.9, 20.2), "valid": (-1.6, -2.7, 9.0, 36.3)}
    rows = [
        epoch(number, split, elbo=elbo, recon=-elbo, kl=1.0, stage=min(number - 1, 2))
        for split, values in ends.items()
        for number, elbo in enumerate(values, 1)
    ]
    axes = elbo_panel(*rows)
    legend = axes.get_legend().get_window_extent()
    shown = axes.transData.transform([[4, values[-1]] for values in ends.values()])
    assert not any(legend.contains(*point) for point in shown)


def test_curves_are_interrupted_between_stages_of_growth(tmp_path):
    plain = [epoch(i, elbo=-i) for i in range(1, 5)]
    same = [row | {"stage": 2} for row in plain]
    grown = [row | {"stage": row["epoch"] // 3} for row in plain]
    for name, rows in (("plain", plain), ("same", same), ("grown", grown)):
        drawing.curves(tmp_path / f"{name}.png", rows)
    plain, same, grown = (
        read(tmp_path / f"{n}.png") for n in ("plain", "same", "grown")
    )
    np.testing.assert_array_equal(plain, same)
    blue = [int(drawing.COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]
    ends = np.argwhere((plain == blue).all(axis=-1))[:, 1]  # columns of the first line
    lost = (plain == blue).all(axis=-1) & (grown != blue).any(axis=-1)
    assert len(ends) > lost.sum() > 20  # the piece between epochs 2 and 3


def test_every_class_has_its_colour_in_the_latent_space(tmp_path):
    labels = np.arange(200) % 10
    means = 5.0 * np.stack([labels % 5, labels // 5], axis=1) + images(200, 2)
    drawing.latent_space(tmp_path / "a.png", means, labels)
    picture = read(tmp_path / "a.png")[:, :850]  # left of the legend
    for colour in drawing.COLOURS:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (picture == rgb).all(axis=-1).any()


def test_the_legend_of_the_latent_space_says_what_the_labels_are(tmp_path):
    means, labels = images(40, 2), np.arange(40) % 4
    for name in ("class", "hue"):
        drawing.latent_space(tmp_path / f"{name}.png", means, labels, name)
    one, other = (read(tmp_path / f"{name}.png")[:, 850:] for name in ("class", "hue"))
    assert (one != other).any()


@pytest.mark.parametrize(
    ("z_dim", "classes"), [(1, None), (1, 60), (2, None), (2, 1), (20, 10), (20, 60)]
)
def test_the_latent_space_is_drawn_for_any_width_and_number_of_classes(
    tmp_path, z_dim, classes
):
    labels = None if classes is None else np.arange(120) % classes
    drawing.latent_space(tmp_path / "a.png", images(120, z_dim), labels)
    assert read(tmp_path / "a.png").shape == (800, 1024, 3)


@pytest.mark.parametrize("z_dim", [1, 2, 3])
@pytest.mark.parametrize(("count", "value"), [(1, 0.0), (6, 0.0), (6, np.nan)])
def test_collapsed_and_broken_posteriors_are_drawn(tmp_path, z_dim, value, count):
    means = np.full((count, z_dim), value, np.float32)
    drawing.latent_space(tmp_path / "a.png", means, np.arange(count) % 2)
    assert read(tmp_path / "a.png").shape == (800, 1024, 3)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [epoch(1)],
        [epoch(1), epoch(1, "valid")],
        [epoch(i, kl=20.0 + i) for i in range(100)],
        [epoch(1, elbo=float("nan")), epoch(2, elbo=float("inf")), epoch(3)],
        [epoch(i, elbo=float("nan"), recon=None) for i in (1, 2)],
        [{"split": "train", "lr": 0.1}, {"epoch": 1, "elbo": 1.0}, epoch(1, "test")],
    ],
    ids=["none", "one epoch", "valid", "long", "nan", "all nan", "other rows"],
)
def test_curves_are_drawn_whatever_was_recorded(tmp_path, rows):
    drawing.curves(tmp_path / "a.png", rows)
    assert read(tmp_path / "a.png").shape == (480, 1664, 3)


def heights(path, split):
    """Rows that the curve of a split spans in the middle of the first panel."""
    colour = drawing.SPLITS[split]
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    rows = np.flatnonzero((read(path)[:, 200:340] == rgb).all(axis=-1).any(axis=1))
    return rows.max() - rows.min()


def test_the_first_epochs_do_not_squash_the_rest(tmp_path):
    steady = [epoch(i, elbo=-100.0 + i) for i in range(2, 21)]
    drawing.curves(tmp_path / "a.png", [epoch(1, elbo=-1e5), *steady])
    assert heights(tmp_path / "a.png", "train") > 60  # a third of about 350 pixels


def test_a_late_divergence_is_never_cut_off(tmp_path):
    steady = [epoch(i, elbo=-100.0 + i) for i in range(1, 21)]
    drawing.curves(tmp_path / "a.png", [*steady, epoch(21, elbo=-1e5)])
    assert heights(tmp_path / "a.png", "train") < 10


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("drawn"))


def test_the_same_arrays_give_the_same_bytes_under_any_matplotlibrc(drawn, tmp_path):
    with matplotlib.rc_context({"font.size": 30, "image.origin": "lower"}):
        before = dict(matplotlib.rcParams)
        again = pictures(tmp_path)
        assert dict(matplotlib.rcParams) == before
    assert [p.read_bytes() for p in drawn] == [p.read_bytes() for p in again]


def test_nothing_but_the_pictures_is_left_behind(drawn):
    assert [p.name for p in drawn] == [f"{c}.png" for c in "abcdefg"]


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_no_other(
    tmp_path, monkeypatch
):
    def half(figure, path, **_):
        path.write_bytes(b"half a picture")
        raise OSError("disk full")

    drawing.samples(tmp_path / "a.png", images(4, 8, 8, 1))
    whole = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(drawing.Figure, "savefig", half)
    for name in ("a.png", "b.png"):
        with pytest.raises(OSError, match="disk full"):
            drawing.samples(tmp_path / name, images(9, 8, 8, 1))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == whole


def test_importing_the_pictures_does_not_import_pyplot():
    code = "import sys, vae_jax.plots; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "False"


one = images(2, 8, 8, 1)


@pytest.mark.parametrize(
    ("draw", "arrays", "message"),
    [
        (
            drawing.samples,
            [one[0]],
            r"samples: must be \[N, H, W, C\] .* got \(8, 8, 1\)",
        ),
        (drawing.samples, [one[:0]], r"samples: must be .* got \(0, 8, 8, 1\)"),
        (drawing.samples, [images(2, 8, 8, 2)], r"C of 1 or 3, got \(2, 8, 8, 2\)"),
        (
            drawing.reconstructions,
            [one, one[:1]],
            r"recons: must be \(2, 8, 8, 1\), got",
        ),
        (
            drawing.interpolations,
            [one],
            r"must be \[R, T, H, W, C\] .* got \(2, 8, 8, 1\)",
        ),
        (
            drawing.manifold,
            [images(2, 3, 4, 4, 1), (0, 1)],
            r"must be \[G, G, H, W, C\]",
        ),
        (
            drawing.manifold,
            [images(4, 4, 4, 4, 1), (0, 1, 2)],
            "hold 2 or 4 values, got 3",
        ),
        (
            drawing.latent_space,
            [one, None],
            r"means: must be \[N, Z\], got \(2, 8, 8, 1\)",
        ),
        (
            drawing.latent_space,
            [one[..., 0, 0], np.zeros(3)],
            r"labels: must be \[2\], got",
        ),
    ],
)
def test_a_wrong_shape_is_named_and_nothing_is_written(tmp_path, draw, arrays, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "a.png", *arrays)
    assert not list(tmp_path.iterdir())


def test_bytes_are_refused_as_images(tmp_path):
    with pytest.raises(TypeError, match=r"must be floats in \[0, 1\], got uint8"):
        drawing.samples(tmp_path / "a.png", np.zeros((1, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(("shape", "columns"), [((8, 8, 1), 2), ((2, 8, 8, 1), 0)])
def test_tile_refuses_other_shapes_and_no_columns(shape, columns):
    with pytest.raises(ValueError, match="tile: must be"):
        drawing.tile(np.zeros(shape), columns)


def colour(index):
    return [int(drawing.COLOURS[index][i : i + 2], 16) for i in (1, 3, 5)]


def test_the_bars_of_a_group_are_as_high_as_its_kl_and_sorted(tmp_path):
    path = tmp_path / "a.png"
    drawing.kl_per_dimension(path, [[1.0, 4.0, 2.0], [3.0]])
    picture = read(path)
    first = (picture == colour(0)).all(axis=-1)
    heights = first.sum(axis=0)
    bars = heights[heights > 12]  # the key's swatch is a few pixels high
    runs = np.split(bars, np.flatnonzero(np.diff(bars)) + 1)
    tall = [run[0] for run in runs if len(run) > 20]  # edges are blended
    assert len(tall) == 3
    # In pixels, each within one of four, two and one units
    np.testing.assert_allclose(tall, np.array([4, 2, 1]) * tall[0] / 4, atol=1.5)
    second = (picture == colour(1)).all(axis=-1).sum(axis=0)
    # The key's swatch may be above the bar.
    assert abs(np.median(second[second > 12]) - 0.75 * tall[0]) < 2


def test_a_kl_that_is_not_finite_is_left_out_and_counted(tmp_path):
    drawing.kl_per_dimension(tmp_path / "a.png", [[np.nan, 1.0]])
    drawing.kl_per_dimension(tmp_path / "b.png", [[0.0, 1.0]])
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    with pytest.raises(ValueError, match="must each hold some values"):
        drawing.kl_per_dimension(tmp_path / "c.png", [[1.0], []])
