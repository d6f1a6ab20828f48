"""What the full evaluation measures, and of which images."""

import json

import jax
import numpy as np
import pytest

import main
from vae_jax import (
    data,
    distances,
    evaluate,
    extractors,
    metrics,
    mixture,
    report,
    train,
)
from vae_jax.contracts import Extractor, Trained
from vae_jax.run import final, measures, samples, session, subsets

SMALL = [
    "--config.train.epochs=1",
    "--config.data.limit=330",
    "--config.data.binarize=dynamic",
    "--config.model.hidden_dim=16",
    "--config.eval.pictures_every=0",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measures") / "run"
    args = ["main.py", f"--config={main.ROOT}/configs/digits_mlp.py", *SMALL]
    assert main.main([*args, f"--workdir={folder}"]) == 0
    return folder


@pytest.fixture
def opened(folder):
    """A session with other ``eval`` fields, and what it has trained."""
    managers = []

    def get(**options):
        fields = {
            "num_samples": 100,
            "mixture_components": 2,
            "iw_samples": 3,
        } | options
        flags = [f"--config.eval.{name}={value}" for name, value in fields.items()]
        _, config = main.parse(
            ["main.py", "--mode=eval", f"--workdir={folder}", *flags]
        )
        managers.append(session.existing(config, str(folder), reads_only=True))
        at = managers[-1].__enter__()
        state = session.newest(at)
        phase = at.job.phase_of(int(state.step))
        numbers = phase.hparams_at(int(state.step))
        return at, Trained(phase.model, train.shown_params(state), numbers)

    yield get
    for manager in managers:
        manager.__exit__(None, None, None)


def bound_on(at, of):
    return report.bound_on(at.job.dataset.test.images, of.model, at.config.data.scale)


def test_pictures_take_only_the_images_that_they_show(opened):
    at, of = opened()
    subject = final.pictured(at, of)
    images, labels = at.job.dataset.test
    np.testing.assert_array_equal(subject.x, images[:30] / np.float32(255))
    np.testing.assert_array_equal(subject.labels, labels)
    assert len(labels) == 297


def pixels_of(images):
    return images.reshape(len(images), -1) / 255


def test_training_images_are_black_and_white_where_test_images_are(opened):
    at, _ = opened()
    images = samples.training_images(at)
    assert set(np.unique(images)) == {0, 255}
    static = data.load(
        "digits",
        data.Wanted(None, None, seed=0, image_size=None, channels=0, num_images=0),
        valid_size=at.config.data.valid_size,
        test_size=at.config.data.test_size,
        binarize="static",
        limit=330,
    )
    np.testing.assert_array_equal(images, static.train.images)


def test_the_floor_is_the_distance_of_as_many_training_images(opened):
    at, of = opened(samplers="('prior',)")
    found = samples.compare(at, of, samples.extractor_for(at, of))
    sets = samples.training_images(at), at.job.dataset.test.images
    floor, real = (
        distances.moments(pixels_of(subsets.some_of(images, 100))) for images in sets
    )
    expected = distances.frechet_distance(real, floor)
    assert found["floor"]["fd_pixels"]["value"] == pytest.approx(expected)
    assert found["protocol"]["n_real"] == 100
    assert "eval.pixels=draw compares like with like" in found["protocol"]["warning"]


def test_some_images_are_not_the_first_ones():
    images = np.arange(50)
    some = subsets.some_of(images, 10)
    assert len(set(some)) == 10
    assert list(some) == sorted(some) != list(range(10))
    np.testing.assert_array_equal(subsets.some_of(images, 90), images)


def test_some_of_the_images_in_files_stay_there(tmp_path):
    images = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    np.save(tmp_path / "images.npy", images)
    mapped = data.Mapped([np.load(tmp_path / "images.npy", mmap_mode="r")])
    some = subsets.some_of(mapped, 10)
    assert isinstance(some, data.Mapped)
    np.testing.assert_array_equal(some[:], subsets.some_of(images, 10))


@pytest.mark.parametrize("pixels", ["mean", "draw"])
def test_reconstructions_come_from_draws_and_pixels_as_asked(opened, pixels):
    at, of = opened(pixels=pixels)
    images = at.job.dataset.test.images[:20]
    found = np.concatenate([*samples.recons_of(at, of, images)])
    assert (set(np.unique(found)) == {0.0, 1.0}) == (pixels == "draw")
    (latent,) = evaluate.draw_latents(of, images, **subsets.over_images(at))
    expected = evaluate.images_of(
        of, (latent.z,), batch_size=500, draw=pixels == "draw"
    )
    np.testing.assert_array_equal(found, expected)


def test_no_more_images_are_held_than_one_batch(opened, monkeypatch):
    at, of = opened(samplers="('prior',)", num_samples=50, batch_size=20)
    happened = []

    def sizes_of(images):
        happened.append(("features", len(images)))
        return np.random.default_rng(len(happened)).random((len(images), 3))

    def remember(*args):
        for batch in each_batch(*args):
            happened.append(("images", len(batch)))
            yield batch

    each_batch = evaluate.images.each_batch
    monkeypatch.setattr(evaluate.images, "each_batch", remember)
    samples.compare(at, of, Extractor("counted", "0", 3, sizes_of))
    by_batch = [(what, n) for n in (20, 20, 10) for what in ("images", "features")]
    stored = [("features", 50), ("features", 50)]
    assert happened == [*stored, *by_batch, *by_batch]


def test_the_mixture_is_fitted_to_draws_for_training_images(opened, monkeypatch):
    at, of = opened(mixture_images=70, mixture_components=3)
    seen, fit = [], mixture.fit
    monkeypatch.setattr(mixture, "fit", lambda *args: seen.append(args) or fit(*args))
    (z,) = samples.latents(at, of, "mixture")
    ((latents, components, _),) = seen
    images = subsets.some_of(samples.training_images(at), 70)
    (latent,) = evaluate.draw_latents(of, images, **subsets.over_images(at))
    np.testing.assert_array_equal(latents, latent.z)
    assert (components, z.shape) == (3, (100, latents.shape[1]))


def test_the_prior_gives_its_own_samples(opened):
    at, of = opened()
    (z,) = samples.latents(at, of, "prior")
    assert abs(z.mean()) < 4 / z.size**0.5
    assert abs(z.std() - 1) < 4 / (2 * z.size) ** 0.5


def test_one_sampler_that_fails_leaves_the_others(opened, monkeypatch, caplog):
    at, of = opened(fd_infinity=True, num_samples=260)

    def fail(*args):
        raise ValueError("no mixture today")

    monkeypatch.setattr(mixture, "fit", fail)
    monkeypatch.setattr(measures.LOGGER, "propagate", True)
    found = samples.compare(at, of, samples.extractor_for(at, of))
    assert found.keys() == {"protocol", "floor", "reconstruction", "prior"}
    assert "fd_pixels_infinity" in found["prior"]
    assert "No samples from the mixture: no mixture today" in caplog.text


def test_infinity_that_cannot_be_had_is_said(opened, monkeypatch, caplog):
    at, of = opened(fd_infinity=True)
    monkeypatch.setattr(measures.LOGGER, "propagate", True)
    assert samples.extractor_for(at, of).dims == 64
    assert "it needs eval.num_samples of 256, four for each" in caplog.text


def test_what_is_reported_and_sampled_is_of_the_averaged_parameters(tmp_path):
    folder = tmp_path / "run"
    args = ["main.py", f"--config={main.ROOT}/configs/digits_mlp.py", *SMALL]
    args += ["--config.optim.ema=0.99", "--config.eval.checkpoint=latest"]
    assert main.main([*args, f"--workdir={folder}"]) == 0
    assert (
        main.main(["main.py", "--mode=sample", f"--workdir={folder}", "--num=3"]) == 0
    )
    _, config = main.parse(["main.py", "--mode=eval", f"--workdir={folder}"])
    with session.existing(config, str(folder), reads_only=True) as at:
        state, dataset = session.newest(at), at.job.dataset
    phase = at.job.phase_of(int(state.step))
    numbers = phase.hparams_at(int(state.step))

    def elbo(params, split):
        return phase.terms(params, split.images, numbers)["elbo"].mean()

    found = json.loads((folder / "eval.json").read_text())["numbers"]["elbo"]["value"]
    valid = [
        row["elbo"] for row in metrics.read_rows(folder) if row["split"] == "valid"
    ]
    for value, split in ((found, dataset.test), (valid[-1], dataset.valid)):
        assert value == pytest.approx(elbo(state.ema, split), rel=1e-5)  # float32
        assert abs(elbo(state.params, split) - value) > 0.1
    samples = np.load(folder / "samples" / "samples_3_seed0.npy")
    zs = jax.device_get(phase.model.sample_prior(state.ema, jax.random.key(0), 3))
    of = Trained(phase.model, state.ema, numbers)
    expected = evaluate.images_of(of, zs, batch_size=3, draw=False)
    np.testing.assert_allclose(samples, expected, rtol=1e-5, atol=1e-6)  # float32


def test_that_there_are_no_distances_of_large_images_is_said(
    opened, monkeypatch, caplog
):
    monkeypatch.setattr(extractors, "MOST_PIXELS", 63)
    monkeypatch.setattr(measures.LOGGER, "propagate", True)
    at, of = opened()
    with caplog.at_level("INFO"):
        assert samples.extractor_for(at, of) is None
    assert "of 64 values are more than the 63 that eval.extractor=auto" in caplog.text
    caplog.clear()
    at, of = opened(extractor="none")
    with caplog.at_level("INFO"):
        assert samples.extractor_for(at, of) is None
    assert "No distances" not in caplog.text  # it is as wanted


def test_more_components_than_images_are_refused_first(opened):
    at, of = opened(mixture_components=400)
    with pytest.raises(session.Refused, match="it is fitted to, 330, got 400"):
        measures.beyond_the_bound(at, of, bound_on(at, of))


def test_the_weighted_bound_is_of_as_many_images_as_asked(opened):
    at, of = opened(iw_images=25)
    found = measures.importance(at, of, bound_on(at, of))
    numbers, column = found["numbers"], found["per_image"]["iw_bound"]
    assert numbers["iw_bound"]["n"] == numbers["iw_ess"]["n"] == 25
    some = subsets.some_of(at.job.dataset.test.images, 25)
    bound = evaluate.make_bound(of.model, **subsets.over_images(at))
    expected = bound(of.params, some, of.hparams, 3).bound
    mean = expected.mean(dtype=np.float64)
    assert numbers["iw_bound"]["value"] == pytest.approx(mean)
    images = at.job.dataset.test.images
    known = np.flatnonzero(~np.ma.getmaskarray(column))
    np.testing.assert_array_equal(images[known], some)
    np.testing.assert_array_equal(column[known], expected)
    assert len(column) == len(images)
