"""Images on the device and images that are streamed to it: the same to every step."""

import json

import jax
import numpy as np
import pytest
from test_end_to_end import (
    EVERYTHING,
    final_state,
    pictures,
    result,
    rows,
    run,
    stop_after,
)

import main
from configs import digits_mlp
from vae_jax import assembly, data, growth, mesh, train
from vae_jax.data import own_npy
from vae_jax.run import placement
from vae_jax.run.session import Refused
from vae_jax.run.stepping import Feed

IMAGES = np.random.default_rng(0).integers(0, 256, (53, 4, 3, 1), dtype=np.uint8)
# 10 and 17 batches an epoch, of 5 and 3 images.
ONE = mesh.of(jax.devices()[:1])
PLAN = growth.plan(53, 2, epochs=(2, 1), batch_sizes=(5, 3), fadein_ratio=0.0)


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def order(epoch, batch_size):
    return train.epoch_order(7, epoch, len(IMAGES), batch_size)


def in_files(tmp_path):
    for number, some in enumerate(np.split(IMAGES, [20, 21])):
        np.save(tmp_path / f"a-{number}-of-3.npy", some)
    return own_npy.load(str(tmp_path)).train.images


def seen(placed, cut):
    """Images of every step, when so many steps are taken in one go."""
    batches, step = [], 0
    while step < PLAN[-1].end_step:
        stage = growth.stage_at(PLAN, step)
        left = stage.steps_per_epoch - stage.epoch_at(step)[1]
        stop = step + min(cut, left)
        for images, rows_of_batch, start, end in placed.pieces(step, stop):
            of_batches = np.asarray(rows_of_batch)[start:end]
            batches += [np.asarray(images)[some] for some in of_batches]
        step = stop
    return batches


@pytest.mark.parametrize("cut", [1, 4, 100])
@pytest.mark.parametrize("chunk_bytes", [1, 3 * 5 * 12, 7 * 5 * 12, 10**6])
def test_steps_see_the_same_images_wherever_these_are(tmp_path, chunk_bytes, cut):
    expected = [
        IMAGES[some]
        for stage in PLAN
        for epoch in range(stage.first_epoch, stage.first_epoch + stage.epochs)
        for some in order(epoch, stage.batch_size)
    ]
    assert len(expected) == 2 * 10 + 17
    resident = placement.Resident(IMAGES, PLAN, order, ONE)
    shuffled = np.random.default_rng(1).permutation(53)
    unshuffled = in_files(tmp_path).only(shuffled).only(np.argsort(shuffled))
    for placed in (
        resident,
        placement.Streamed(IMAGES, PLAN, order, ONE, chunk_bytes),
        placement.Streamed(unshuffled, PLAN, order, ONE, chunk_bytes),
    ):
        for got, images in zip(seen(placed, cut), expected, strict=True):
            np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize(
    ("chunk_bytes", "batches"),
    # Of ten batches: as many as fit; at least one; all; two chunks of five and not of
    # seven and three; of seventeen: 3, 1, 17 and two of nine.
    [(3 * 5 * 12, (3, 5)), (1, (1, 1)), (10**6, (10, 17)), (7 * 5 * 12, (5, 9))],
)
def test_all_chunks_of_a_stage_have_one_size_and_two_are_held(chunk_bytes, batches):
    placed, sizes = placement.Streamed(IMAGES, PLAN, order, ONE, chunk_bytes), {}
    for stage in PLAN:
        for step in range(stage.first_step, stage.end_step, 2):
            for piece in placed.pieces(step, step + 1):
                shapes = piece.images.shape, piece.order.shape
                sizes.setdefault(stage.index, set()).add(shapes)
            assert len(placed._held) <= 2
    for stage, num in zip(PLAN, batches, strict=True):
        size = stage.batch_size
        assert sizes[stage.index] == {((num * size, 4, 3, 1), (num, size))}


def test_the_next_chunk_is_there_before_it_is_asked_for():
    placed = placement.Streamed(IMAGES, PLAN, order, ONE, 5 * 5 * 12)
    list(placed.pieces(0, 1))
    assert set(placed._held) == {0, 5}
    list(placed.pieces(9, 10))  # the next epoch's follows
    assert set(placed._held) == {5, 10}
    list(placed.pieces(PLAN[-1].end_step - 1, PLAN[-1].end_step))  # nothing does
    assert len(placed._held) == 1


def test_what_is_in_files_or_too_large_for_the_device_is_streamed(tmp_path):
    files, size = in_files(tmp_path), IMAGES.nbytes
    assert placement.suited(IMAGES, None) == "device"
    assert placement.suited(IMAGES, 2 * size) == "device"
    assert placement.suited(IMAGES, 2 * size - 1) == "stream"
    assert placement.suited(files, 10**9) == placement.suited(files, None) == "stream"
    kinds = {"auto": placement.Resident, "stream": placement.Streamed}
    for how, kind in kinds.items():
        assert type(placement.place(how, IMAGES, PLAN, order, ONE)) is kind
    held = placement.place("device", files, PLAN, order, ONE)
    np.testing.assert_array_equal(next(held.pieces(0, 1)).images, IMAGES)


def test_images_that_cannot_be_on_the_device_are_refused(monkeypatch):
    monkeypatch.setattr(placement, "memory_limit", lambda: 635)
    with pytest.raises(ValueError, match="must be auto or stream") as caught:
        placement.place("device", IMAGES, PLAN, order, ONE)
    assert str(caught.value) == (
        "data.placement: must be auto or stream for images of 6.36e-07 GB on a device "
        "with 6.35e-07 GB, got 'device'"  # 53 * 4 * 3 bytes
    )
    job = assembly.build(config := small(), assembly.load_data(config))
    with pytest.raises(Refused, match="must be auto or stream"):
        Feed(job, 0, "device", ONE)


def small(**model):
    config = digits_mlp.get_config()
    config.data.update(limit=330, binarize="dynamic")
    config.model.update(hidden_dim=8, **model)
    config.train.update(epochs=2, epochs_per_stage=(0, 2))
    return config


GROWING = {"name": "provae", "start_res": 4, "final_res": 8, "base_ch": 4, "min_ch": 2}


@pytest.mark.parametrize(
    "model",
    [{}, pytest.param(GROWING, marks=pytest.mark.slow)],
    ids=["mlp", "provae"],
)
def test_training_does_not_depend_on_where_the_images_are(model, monkeypatch):
    config = small(**model)
    job = assembly.build(config, assembly.load_data(config))
    # Three, then two of the five batches of 64 bytes each, 64 to a batch.
    monkeypatch.setattr(placement, "CHUNK_BYTES", 3 * 64 * 64)
    feeds = [Feed(job, config.seed, how, ONE) for how in ("device", "stream", "stream")]
    end = job.plan[-1].end_step
    resident, streamed, cut = (job.initial_state() for _ in feeds)
    resident = feeds[0].advance(resident, end)
    streamed = feeds[1].advance(streamed, end)
    # Stopped and begun again in the middle of chunks, by new feeds.
    for step in (1, 4, 7, 8, end):
        cut = Feed(job, config.seed, "stream", ONE).advance(cut, step)
    assert int(resident.step) == end == 10
    assert int(resident.bad_steps) == 0
    for other in (streamed, cut):
        jax.tree.map(same_bits, resident, other)
    # One for the images that are on the device, one for chunks of any number of steps.
    assert job.phases[-1].run_steps._cache_size() == 2


def same_bits(a, b):
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_run_on_files_resumed_in_a_chunk_is_that_on_an_array(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (430, 6, 5), dtype=np.uint8)
    labels = np.arange(430) % 7
    folder = tmp_path / "images"
    folder.mkdir()
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    np.save(folder / "all_labels.npy", labels)
    for number, some in enumerate(np.split(images, [100, 230])):
        np.save(folder / f"all-{number:05}-of-00003.npy", some)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(placement, "CHUNK_BYTES", 3 * 64 * 30)
    options = [o for o in EVERYTHING if "binarize" not in o]

    def trained(name, path, workdir):
        where = [f"--config.data.name={name}", f"--config.data.path={path}"]
        where += [f"--workdir={tmp_path / workdir}", "--config.data.valid_size=40"]
        where.append("--config.data.test_size=50")
        assert run("digits_mlp", *options, *where) == 0
        return tmp_path / workdir

    whole = trained("npz", tmp_path / "images.npz", "npz")
    with monkeypatch.context() as patch:
        stop_after(7, patch)
        trained("npy", folder, "npy")
    resumed = trained("npy", folder, "npy")
    log = (resumed / "train.log").read_text()
    assert "going on from step 7" in log
    assert "training images are streamed to the device" in log
    assert "streamed" not in (whole / "train.log").read_text()
    assert rows(whole) == rows(resumed)
    assert final_state(whole) == final_state(resumed)
    assert pictures(whole) == pictures(resumed)
    ours, theirs = result(resumed), result(whole)
    assert ours.pop("data") | {"name": 0, "source": 0} == theirs.pop("data") | {
        "name": 0,
        "source": 0,
    }
    assert ours == theirs
    digests = [json.loads((f / "data.json").read_text()) for f in (whole, resumed)]
    assert digests[0] == digests[1]
    assert data.digest(data.Split(images[..., None], None)) not in digests[0].values()
