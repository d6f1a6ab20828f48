"""Whole commands on the digits that come with the package."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

import main
from vae_jax import assembly, evaluate, train
from vae_jax.plots import drawing

# Small and with everything on, so that nothing is left out of the state.
SMALL = [
    "--config.train.epochs=3",
    "--config.data.limit=330",
    "--config.model.hidden_dim=16",
    "--config.model.channels=4,6",
    "--config.eval.pictures_every=2",
    "--config.eval.num_samples=200",
    "--config.eval.iw_samples=4",
    "--config.eval.mixture_components=2",
]
EVERYTHING = [
    "--config.data.binarize=dynamic",
    "--config.loss.kl=mc",
    "--config.loss.kl_samples=2",
    "--config.optim.warmup_steps=4",
    "--config.optim.clip_norm=10",
    "--config.optim.ema=0.9",
    "--config.loss.recon=gaussian",
    "--config.loss.sigma_learnable=True",
]
TIMES = ("seconds", "images_per_second")


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def run(name, *args):
    return main.main(["main.py", f"--config=configs/{name}.py", *SMALL, *args])


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    parsed = map(json.loads, lines)
    return [{k: v for k, v in row.items() if k not in TIMES} for row in parsed]


def result(folder):
    return json.loads((folder / "eval.json").read_text())


def pictures(folder):
    files = [path for path in (folder / "plots").rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder / "plots")): path.read_bytes() for path in files
    }


def final_state(folder):
    """The sha256 of the last checkpoint: that it is true is tested elsewhere."""
    last = max(folder.glob("checkpoints/*"), key=lambda path: int(path.name))
    meta = json.loads((last / "meta" / "metadata").read_text())
    return last.name, meta["sha256"], meta["structure"]  # its config may differ


def stop_after(steps, monkeypatch):
    """Lets a run take single steps, and end when so many are done."""
    from vae_jax import pacing

    taken = []

    def next_piece(pace, step, left):
        taken.append(step)
        return 1

    def reason_to_stop(pace):
        return "test" if taken[-1] + 1 >= steps else None

    monkeypatch.setattr(pacing.Pace, "next_piece", next_piece)
    monkeypatch.setattr(pacing.Pace, "reason_to_stop", reason_to_stop)


def assert_same_run(a, b):
    assert rows(a) == rows(b)
    assert final_state(a) == final_state(b)
    assert result(a) == result(b)
    assert pictures(a) == pictures(b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs that were never interrupted."""
    folders = {}

    def get(name, *args):
        if (name, *args) not in folders:
            folder = tmp_path_factory.mktemp("whole") / "run"
            assert run(name, *args, f"--workdir={folder}") == 0
            folders[name, *args] = folder
        return folders[name, *args]

    return get


def test_a_run_leaves_what_the_readme_promises(whole):
    folder = whole("digits_mlp")
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "data.json",
        "environment.json",
        "metrics.jsonl",
        "eval.json",
        "eval_images.csv",
        "report.html",
        "checkpoints",
        "plots",
        "train.log",
    }
    assert set(pictures(folder)) == {
        "reconstructions.png",
        "reconstructions_0002.png",
        "samples.png",
        "samples_0002.png",
        "curves.png",
        "kl_per_dimension.png",
        "latent_space.png",
        "interpolations.png",
    }
    assert [(r["epoch"], r["split"]) for r in rows(folder)] == [
        (epoch, split) for epoch in (1, 2, 3) for split in ("train", "valid")
    ]
    found = result(folder)
    assert found["bound_kind"] == "cross_entropy"
    assert found["numbers"]["elbo"]["n"] == 297
    assert found["trained_epochs"] == 3
    log = (folder / "train.log").read_text()
    assert "epoch 3/3" in log
    assert "nats per image, n = 297" in log


def test_training_makes_the_elbo_better(whole):
    for name in ("digits_mlp", "digits_cnn"):
        valid = [r["elbo"] for r in rows(whole(name)) if r["split"] == "valid"]
        assert valid[-1] > valid[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("digits_mlp", []),
        ("digits_mlp", EVERYTHING),
        ("digits_cnn", []),
        pytest.param("digits_cnn", EVERYTHING, marks=pytest.mark.slow),
    ],
    ids=lambda given: given if isinstance(given, str) else str(len(given)),
)
def test_a_run_that_was_stopped_in_mid_epoch_ends_as_one_that_was_not(
    name, options, whole, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    args = [*options, f"--workdir={folder}", "--config.checkpoint.every_steps=3"]
    # In the middle of the second and of the third epoch, of five steps each.
    for stop_at in (7, 13):
        stop_after(stop_at, monkeypatch)
        assert run(name, *args) == 0
        places = (folder / "checkpoints").iterdir()
        saved = {path.name for path in places if path.is_dir()}
        assert {str(stop_at - 1), str(stop_at)} <= saved  # the first as it was due
        assert not (folder / "eval.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(main.ROOT)
    assert run(name, *args) == 0
    assert_same_run(folder, whole(name, *options))


def test_a_killed_run_ends_as_one_that_was_not(whole, tmp_path):
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "main.py",
        "--config=configs/digits_mlp.py",
        *SMALL,
        f"--workdir={folder}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/5/meta")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (folder / "eval.json").exists(), "it was too fast to be killed"
    assert run("digits_mlp", f"--workdir={folder}") == 0
    assert_same_run(folder, whole("digits_mlp"))


def test_a_signal_saves_and_says_how_to_go_on(tmp_path, capfd, monkeypatch):
    from vae_jax import pacing

    folder = tmp_path / "run"
    sent = []

    def send_once(pace, step, left):
        if step == 7 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return 1

    monkeypatch.setattr(pacing.Pace, "next_piece", send_once)
    assert run("digits_mlp", f"--workdir={folder}") == 143
    out = capfd.readouterr().out
    assert f"To go on: python main.py --workdir={folder}" in out
    assert "Stopped at step 8, saved: SIGTERM" in out
    assert (folder / "checkpoints" / "8").is_dir()
    assert main.main(["main.py", f"--workdir={folder}"]) == 0
    assert result(folder)["trained_epochs"] == 3


def test_a_signal_in_the_last_step_ends_the_run_before_its_evaluation(
    tmp_path, capfd, monkeypatch
):
    from vae_jax import pacing

    folder = tmp_path / "run"

    def send(pace, step, left):
        if step == 14:
            os.kill(os.getpid(), signal.SIGTERM)
        return 1

    monkeypatch.setattr(pacing.Pace, "next_piece", send)
    assert run("digits_mlp", f"--workdir={folder}") == 143
    assert "Stopped at step 15, saved: SIGTERM" in capfd.readouterr().out
    assert not (folder / "eval.json").exists()
    assert main.main(["main.py", f"--workdir={folder}"]) == 0
    assert result(folder)["trained_epochs"] == 3


def test_ctrl_c_in_a_terminal_saves_and_exits_as_shells_expect(tmp_path):
    folder = tmp_path / "run"
    # A test session in the background ignores SIGINT, and so would its children.
    as_in_a_terminal = (
        "import runpy, signal, sys; del sys.argv[0]; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_path('main.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", as_in_a_terminal, "main.py", *SMALL]
    command += ["--config=configs/digits_mlp.py", f"--workdir={folder}"]
    command += ["--config.train.epochs=100000", "--config.train.max_minutes=5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch 2/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "saved: SIGINT. To go on: python main.py --workdir=" in rest
    step = int(final_state(folder)[0])
    assert f"Stopped at step {step}, saved" in rest
    assert [r["step"] for r in rows(folder)][-1] == 5 * (step // 5)


def test_a_run_directory_in_use_is_refused_to_all_but_readers(
    tmp_path, capfd, monkeypatch
):
    from vae_jax import pacing

    folder = tmp_path / "run"
    codes = {}

    def meanwhile(pace, step, left):
        if step == 7:
            for mode, more in (("train", []), ("eval", []), ("sample", ["--num=2"])):
                args = [f"--mode={mode}", f"--workdir={folder}", *more]
                codes[mode] = main.main(["main.py", *args])
        return 1

    monkeypatch.setattr(pacing.Pace, "next_piece", meanwhile)
    assert run("digits_mlp", f"--workdir={folder}") == 0
    assert codes == {"train": 2, "eval": 2, "sample": 0}
    message = f"--workdir: {folder} is in use by process {os.getpid()} on "
    assert capfd.readouterr().err.count(message) == 2
    assert not (folder / ".lock").exists()
    assert (folder / "samples" / "samples_2_seed0.npy").exists()


def test_a_finished_run_prints_its_results_and_more_epochs_go_on(tmp_path, capfd):
    folder = tmp_path / "run"
    args = [f"--workdir={folder}"]
    assert run("digits_mlp", *args, "--config.train.epochs=1") == 0
    before = (folder / "metrics.jsonl").read_bytes()
    capfd.readouterr()
    assert run("digits_mlp", *args, "--config.train.epochs=1") == 0
    assert "is finished" in capfd.readouterr().out
    assert (folder / "metrics.jsonl").read_bytes() == before
    assert run("digits_mlp", *args, "--config.train.epochs=2") == 0
    assert [r["epoch"] for r in rows(folder)] == [1, 1, 2, 2]


def test_a_field_that_is_typed_in_vain_is_named_in_the_log(whole):
    lines = (whole("digits_mlp") / "train.log").read_text().splitlines()
    found = [line for line in lines if "has an effect only with" in line]
    assert len(found) == 1, "the config file's own fields are not named"
    assert "model.channels: has an effect only with model.name=cnn or" in found[0]


def test_another_config_is_refused_with_the_field_that_differs(whole, capsys):
    folder = whole("digits_mlp")
    assert run("digits_mlp", f"--workdir={folder}", "--config.loss.beta=4") == 2
    assert "loss.beta is 1.0 there, 4.0 here" in capsys.readouterr().err


def test_other_images_under_the_same_name_are_refused(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", images=images)
    args = [
        "--config.data.name=npz",
        f"--config.data.path={tmp_path / 'own.npz'}",
        "--config.data.valid_size=4",
        "--config.data.test_size=4",
        "--config.data.limit=0",
        "--config.data.batch_size=8",
        "--config.train.epochs=1",
        f"--workdir={tmp_path / 'run'}",
    ]
    assert run("digits_mlp", *args) == 0
    # One image more, and others are held out: some that have been trained on.
    np.savez(tmp_path / "own.npz", images=np.concatenate([images, images[:1]]))
    for more in (["--config.train.epochs=2"], ["--mode=eval"]):
        assert run("digits_mlp", *args, *more) == 2
        message = "must go on with its own images, got others for train, test;"
        assert message in capsys.readouterr().err


def test_evaluating_again_gives_the_same_numbers_and_pictures_and_more(tmp_path):
    folder = tmp_path / "run"
    assert run("digits_cnn", f"--workdir={folder}", *EVERYTHING) == 0
    before = result(folder), pictures(folder)
    for path in [folder / "eval.json", *(folder / "plots").iterdir()]:
        path.unlink()
    assert main.main(["main.py", "--mode=eval", f"--workdir={folder}"]) == 0
    again = result(folder)
    samples, more = again.pop("samples"), set(again["numbers"])
    assert again.pop("settings")["num_samples"] == 200
    for name in more - before[0]["numbers"].keys():
        again["numbers"].pop(name)
    assert again == before[0]
    for name, content in pictures(folder).items():
        assert content == before[1][name]
    assert {"iw_bound", "iw_ess", "mutual_information", "total_correlation"} < more
    assert samples["protocol"]["n_fake"] == 200
    assert samples.keys() > {"floor", "reconstruction", "prior", "mixture"}
    for part in ("prior", "mixture"):
        assert samples[part]["fd_pixels"]["n_real"] == 200
        assert samples[part]["kid_pixels"]["standard_error"] > 0


def test_grey_pixels_have_no_importance_weighted_bound(whole, capfd):
    folder = whole("digits_mlp")
    before = result(folder)
    args = ["main.py", "--mode=eval", f"--workdir={folder}"]
    assert main.main([*args, "--config.eval.extractor=none"]) == 0
    found = result(folder)
    assert "iw_bound" not in found["numbers"]
    assert "samples" not in found
    assert "loss.recon=bce is no likelihood" in capfd.readouterr().out
    assert main.main([*args, "--config.eval.samplers=('prior',)"]) == 0
    assert result(folder)["samples"].keys() == {
        "protocol",
        "floor",
        "reconstruction",
        "prior",
    }
    assert main.main([*args, "--config.eval.extractor=mnist_classifier"]) == 2
    assert "images must be [N, 28, 28, 1]" in capfd.readouterr().err
    (folder / "eval.json").write_text(json.dumps(before))


def test_samples_are_as_many_as_asked_for_and_depend_on_their_seed(whole):
    folder = whole("digits_mlp")
    command = ["main.py", "--mode=sample", f"--workdir={folder}", "--num=7"]
    for seed in (0, 1):
        assert main.main([*command, f"--sample_seed={seed}"]) == 0
    images = [np.load(folder / f"samples/samples_7_seed{s}.npy") for s in (0, 1)]
    assert images[0].shape == (7, 8, 8, 1)
    assert not np.array_equal(*images)
    assert 0.0 <= images[0].min() <= images[0].max() <= 1.0
    assert (folder / "samples/samples_7_seed0.png").exists()
    for path in (folder / "samples").iterdir():
        path.unlink()
    (folder / "samples").rmdir()


def test_samples_do_not_depend_on_how_many_are_decoded_at_a_time(whole, monkeypatch):
    folder = whole("digits_mlp")
    command = ["main.py", "--mode=sample", f"--workdir={folder}", "--num=7"]
    found, sizes, images_of = [], [], evaluate.images_of

    def remember(*args, batch_size, draw):
        sizes.append(batch_size)
        return images_of(*args, batch_size=batch_size, draw=draw)

    monkeypatch.setattr(evaluate, "images_of", remember)
    for size in (500, 3):
        assert main.main([*command, f"--config.eval.batch_size={size}"]) == 0
        found.append(np.load(folder / "samples/samples_7_seed0.npy"))
    assert sizes == [7, 3]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)  # float32
    for path in (folder / "samples").iterdir():
        path.unlink()
    (folder / "samples").rmdir()


def test_a_run_without_a_checkpoint_cannot_be_sampled(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    config = main.parse(["main.py", "--config=configs/digits_mlp.py"])[1]
    (tmp_path / "run" / "config.json").write_text(config.to_json())
    command = ["main.py", "--mode=sample", f"--workdir={tmp_path / 'run'}"]
    assert main.main(command) == 2
    assert "has no checkpoint yet" in capsys.readouterr().err


def test_the_training_step_is_compiled_once_in_a_run_new_or_resumed(
    tmp_path, monkeypatch
):
    jobs, build = [], assembly.build

    def remember(*args):
        jobs.append(build(*args))
        return jobs[-1]

    monkeypatch.setattr(assembly, "build", remember)
    for epochs in (2, 4):
        args = [f"--workdir={tmp_path / 'run'}", f"--config.train.epochs={epochs}"]
        assert run("digits_mlp", *args) == 0
    assert [p.run_steps._cache_size() for job in jobs for p in job.phases] == [1, 1]


def test_without_validation_images_the_latest_is_the_best(tmp_path):
    args = ["--config.data.valid_size=0", f"--workdir={tmp_path / 'run'}"]
    assert run("digits_mlp", *args) == 0
    assert {r["split"] for r in rows(tmp_path / "run")} == {"train"}
    assert result(tmp_path / "run")["epoch"] == 3


def test_the_best_is_by_the_bound_that_is_trained_for(tmp_path, monkeypatch):
    bounds, with_best = [], train.with_best

    def remember(state, bound):
        bounds.append(bound)
        return with_best(state, bound)

    monkeypatch.setattr(train, "with_best", remember)
    weighted = ["--config.loss.objective=iwae", "--config.loss.iw_samples=3"]
    assert run("digits_mlp", f"--workdir={tmp_path / 'run'}", *weighted) == 0
    valid = [row for row in rows(tmp_path / "run") if row["split"] == "valid"]
    assert bounds == [row["iw_bound"] for row in valid]
    assert all(row["iw_bound"] > row["elbo"] for row in valid)
    # On the test images by a name of its own, as --mode=eval has one of more samples.
    found = result(tmp_path / "run")["numbers"]
    assert "iw_bound" not in found
    assert found["objective_bound"]["value"] > found["elbo"]["value"]
    head = (tmp_path / "run" / "eval_images.csv").read_text().splitlines()[0]
    assert "objective_bound" in head.split(",")


def test_a_run_ends_when_its_patience_does_and_not_while_the_kl_warms_up(
    tmp_path, capfd
):
    # A learning rate at which nothing changes, so that the first bound is the best.
    still = ["--config.optim.lr=1e-25", "--config.train.epochs=9"]
    patient = ["--config.train.patience=2", "--config.loss.warmup_epochs=3"]
    args = [f"--workdir={tmp_path / 'run'}", *still, *patient]
    assert run("digits_mlp", *args) == 0
    # The third epoch is the first at the full KL, and two more are no better.
    assert [r["epoch"] for r in rows(tmp_path / "run") if r["split"] == "valid"] == [
        *range(1, 6)
    ]
    found = result(tmp_path / "run")
    assert (found["epoch"], found["trained_epochs"]) == (3, 5)
    assert found["checkpoint"] == "best"
    assert "ended by train.patience: no better bound on" in capfd.readouterr().out
    assert run("digits_mlp", *args) == 0
    assert "is finished" in capfd.readouterr().out
    assert len(rows(tmp_path / "run")) == 2 * 5
    # With more patience it goes on.
    assert run("digits_mlp", *args, "--config.train.patience=9") == 0
    assert result(tmp_path / "run")["trained_epochs"] == 9


def test_without_validation_images_the_latest_is_evaluated(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    stop_after(7, monkeypatch)  # in the second epoch of five steps
    assert run("digits_mlp", f"--workdir={folder}", "--config.data.valid_size=0") == 0
    monkeypatch.undo()
    monkeypatch.chdir(main.ROOT)
    assert main.main(["main.py", "--mode=eval", f"--workdir={folder}"]) == 0
    found = result(folder)
    assert (found["checkpoint"], found["step"]) == ("latest", 7)


def test_numbers_that_blow_up_end_the_run_with_what_happened(tmp_path, capfd):
    folder = tmp_path / "run"
    args = [f"--workdir={folder}", "--config.train.max_bad_steps=3"]
    assert run("digits_mlp", *args, "--config.optim.lr=1e29") == 1
    out = capfd.readouterr().out
    assert "3 steps in a row had a loss or a gradient that is not finite" in out
    assert "learning rate 1e+29" in out
    assert "Traceback" not in out
    assert main.main(["main.py", "--mode=eval", f"--workdir={folder}"]) == 0
    assert result(folder)["checkpoint"] == "latest"  # no epoch ended
    assert "samples" not in result(folder)
    assert "No distances of samples: " in capfd.readouterr().out


def test_a_time_limit_ends_a_run_cleanly(tmp_path, capfd):
    args = [f"--workdir={tmp_path / 'run'}", "--config.train.max_minutes=1e-6"]
    assert run("digits_mlp", *args) == 0
    assert "train.max_minutes=1e-06 are over" in capfd.readouterr().out


def test_the_same_seed_gives_the_same_run_and_another_one_does_not(whole, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert run("digits_mlp", f"--workdir={again}") == 0
    assert_same_run(again, whole("digits_mlp"))
    assert run("digits_mlp", f"--workdir={other}", "--config.seed=1") == 0
    assert rows(other) != rows(again)
    # The split does not depend on the training seed.
    assert result(other)["data"] == result(again)["data"]


TINY = [
    "--config.train.epochs=1",
    "--config.data.batch_size=16",
    "--config.data.valid_size=8",
    "--config.data.test_size=8",
    "--config.model.z_dim=2",
    *SMALL[2:],
]


@pytest.mark.parametrize(
    ("name", "recon"), [("shapes_mlp", "gaussian_per_pixel"), ("shapes_cnn", "bce")]
)
def test_colour_goes_all_the_way(name, recon, tmp_path, monkeypatch):
    coloured_by = []
    monkeypatch.setattr(
        drawing, "latent_space", lambda _, __, *labels: coloured_by.append(labels)
    )
    args = [
        f"--config=configs/{name}.py",
        f"--workdir={tmp_path / 'run'}",
        f"--config.loss.recon={recon}",
        "--config.data.image_size=8,12",
        "--config.data.num_images=48",
        *TINY,
    ]
    assert main.main(["main.py", *args]) == 0
    found = result(tmp_path / "run")
    assert found["data"]["image_shape"] == [8, 12, 3]
    assert np.isfinite(found["numbers"]["elbo"]["value"])
    ((shape, name),) = coloured_by
    assert (shape.ndim, name) == (1, "shape")
    for picture in ("reconstructions", "samples", "interpolations", "manifold"):
        pixels = imread(tmp_path / "run" / "plots" / f"{picture}.png")[..., :3]
        assert (np.ptp(pixels, axis=-1) > 0).any(), f"no colour in {picture}.png"
    command = ["main.py", "--mode=sample", f"--workdir={tmp_path / 'run'}", "--num=3"]
    assert main.main(command) == 0
    images = np.load(tmp_path / "run" / "samples" / "samples_3_seed0.npy")
    assert images.shape == (3, 8, 12, 3)


def test_a_folder_of_images_of_all_kinds_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for i in range(40):
        shape = (9 + i, 12, 3)[: 2 + i % 2]
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}{('.png', '.JPG')[i % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    args = [
        "--config=configs/shapes_mlp.py",
        "--config.data.name=folder",
        f"--config.data.path={tmp_path / 'photos'}",
        f"--workdir={tmp_path / 'run'}",
        "--config.data.image_size=()",
        *TINY,
    ]
    assert main.main(["main.py", *args]) == 2
    assert "--config.data.image_size=H,W scales" in capsys.readouterr().err
    assert main.main(["main.py", *args, "--config.data.image_size=8,8"]) == 0
    found = result(tmp_path / "run")
    assert found["data"]["source"] == f"files in {tmp_path / 'photos'}"
    assert found["data"]["image_shape"] == [8, 8, 3]


@pytest.mark.parametrize("path", ["mnist"])
def test_real_mnist_trains_where_its_files_are(path, tmp_path):
    folder = os.environ.get("VAE_JAX_DATA_DIR")
    if not folder or not pathlib.Path(folder, path).is_dir():
        pytest.skip("VAE_JAX_DATA_DIR holds no MNIST")
    args = [
        "--config=configs/mnist_cnn.py",
        "--config.train.epochs=1",
        "--config.data.limit=2560",
        f"--workdir={tmp_path / 'run'}",
    ]
    assert main.main(["main.py", *args]) == 0
    assert result(tmp_path / "run")["numbers"]["elbo"]["n"] == 10_000
