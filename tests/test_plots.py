"""Which pictures a run gets, and of what."""

import jax.numpy as jnp
import numpy as np
import pytest
import small
from PIL import Image

from vae_jax import evaluate, plots
from vae_jax.contracts import Trained
from vae_jax.plots import drawing, growing

ROWS = [{"epoch": 1, "split": "train", "elbo": -3.0, "recon": 2.0, "kl": 1.0}]
ALL = {"reconstructions", "samples", "curves", "kl_per_dimension", "latent_space"}
ALL |= {"interpolations"}


def setup(key, z_dim, shape=(8, 8, 1)):
    model = small.model("mlp", shape, z_dim=z_dim)
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(50, *shape)), jnp.float32)
    return model, model.init(key), x


def of_run(folder, key, hparams, z_dim, labels=None, **changes):
    model, params, x = setup(key, z_dim, **changes)
    groups = evaluate.posterior_means(
        Trained(model, params, hparams), np.asarray(x), scale="unit", batch_size=50
    )
    subject = plots.Subject(Trained(model, params, hparams), x, labels)
    kls = [[1.5] * z_dim]
    plots.of_run(folder, subject, groups, kls, ROWS)
    return {path.stem for path in folder.iterdir()}


@pytest.mark.parametrize("z_dim", [1, 3])
def test_a_run_ends_with_all_its_pictures(tmp_path, key, hparams, z_dim):
    assert of_run(tmp_path, key, hparams, z_dim) == ALL


def test_a_run_whose_latents_are_infinite_ends_with_them_too(tmp_path, key, hparams):
    model, params, x = setup(key, 3)
    lost = np.where(np.arange(150) % 7, np.inf, -np.inf).reshape(50, 3)
    subject = plots.Subject(Trained(model, params, hparams), x, None)
    plots.of_run(tmp_path, subject, (lost.astype(np.float32),), [[np.nan] * 3], ROWS)
    assert {path.stem for path in tmp_path.iterdir()} == ALL


def test_two_latents_have_a_manifold_and_colours_work(tmp_path, key, hparams):
    names = of_run(tmp_path, key, hparams, 2, np.arange(50) % 3, shape=(6, 9, 3))
    assert "manifold" in names


def test_pictures_of_a_moment_carry_its_name(tmp_path, key, hparams):
    model, params, x = setup(key, 2)
    subject = plots.Subject(Trained(model, params, hparams), x, None)
    plots.of_moment(tmp_path, "0012", subject, ROWS, 12)
    names = {path.name for path in tmp_path.iterdir()}
    numbered = {"reconstructions_0012.png", "samples_0012.png"}
    assert names == numbered | {"curves.png"}


def test_pictures_show_the_same_images_and_latents_every_time(
    tmp_path, key, hparams, monkeypatch
):
    drawn = []
    monkeypatch.setattr(drawing, "samples", lambda path, images: drawn.append(images))
    monkeypatch.setattr(
        drawing, "reconstructions", lambda *args: drawn.extend(args[1:])
    )
    model, params, x = setup(key, 2)
    subject = plots.Subject(Trained(model, params, hparams), x, None)
    for name in ("one", "other"):
        plots.of_moment(tmp_path, name, subject, ROWS, 1)
    for first, second in zip(drawn[:3], drawn[3:], strict=True):
        np.testing.assert_array_equal(first, second)
        assert first.min() >= 0.0  # probabilities, not logits
        assert first.max() <= 1.0
    np.testing.assert_array_equal(drawn[0], x[:30])


def test_interpolations_begin_and_end_at_reconstructions(
    tmp_path, key, hparams, monkeypatch
):
    drawn = {}
    monkeypatch.setattr(drawing, "interpolations", lambda _, i: drawn.update(paths=i))
    monkeypatch.setattr(
        drawing, "reconstructions", lambda *a: drawn.update(recons=a[2])
    )
    of_run(tmp_path, key, hparams, 3)
    ends = drawn["paths"][:, [0, -1]].reshape(-1, 8, 8, 1)
    # float32: the same products in another order
    np.testing.assert_allclose(ends, drawn["recons"][: len(ends)], atol=1e-5)


def test_the_manifold_is_laid_out_as_a_scatter_plot(
    tmp_path, key, hparams, monkeypatch
):
    drawn = {}

    def keep(path, images, extent):
        drawn.update(images=images, axis=extent)

    monkeypatch.setattr(drawing, "manifold", keep)
    of_run(tmp_path, key, hparams, 2)
    model, params, _ = setup(key, 2)
    axis = drawn["axis"]
    assert (np.diff(axis) > 0).all()
    z = jnp.array([[axis[3], axis[7]]])  # z1 from the column, z2 from the row
    expected = model.likelihood.mean(model.decode(params, (z,), 1.0))[0]
    np.testing.assert_allclose(drawn["images"][7, 3], expected, atol=1e-5)  # float32


def test_frames_of_all_widths_are_in_the_animation_whole(tmp_path):
    (tmp_path / growing.FRAMES).mkdir()
    for epoch, width in enumerate((20, 36, 28)):
        image = Image.new("RGB", (width, 10), "black")
        image.save(tmp_path / growing.FRAMES / f"{epoch:04}.png")
    growing.animation(tmp_path)
    with Image.open(tmp_path / "growth.gif") as found:
        assert (found.size, found.n_frames) == ((36, 10), 3)
        for number, width in enumerate((20, 36, 28)):
            found.seek(number)
            black = np.asarray(found.convert("L"))[5] < 128
            assert black.sum() == width


def test_a_damaged_frame_is_left_out_of_the_animation_and_said(tmp_path, caplog):
    (tmp_path / "growth").mkdir()
    for name in ("0001", "0002", "0003"):
        Image.new("RGB", (4, 4)).save(tmp_path / "growth" / f"{name}.png")
    content = (tmp_path / "growth" / "0002.png").read_bytes()
    (tmp_path / "growth" / "0002.png").write_bytes(content[:40])
    (tmp_path / "growth" / "0003.png").write_bytes(b"")
    growing.animation(tmp_path)
    with Image.open(tmp_path / "growth.gif") as image:
        assert image.n_frames == 1
    assert caplog.text.count("left out of growth.gif") == 2
