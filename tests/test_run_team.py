"""Several devices, and several processes, give what one gives."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest
from test_end_to_end import SMALL, result, rows

import main
from vae_jax.run import team

TESTS = main.ROOT / "tests"
CASES = ("mlp", "cnn in parts")
MORE_CASES = ("cnn", "provae")
# Sums of float32 numbers that are cut up otherwise: the loss of training over devices.
RTOL = 1e-5


def with_devices(num):
    flags = f"--xla_force_host_platform_device_count={num}"
    path = os.pathsep.join([str(main.ROOT), str(TESTS)])
    return os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def over_eight():
    return trained_over_eight(*CASES)


def trained_over_eight(*cases):
    command = [sys.executable, str(TESTS / "many_devices.py"), *cases]
    done = subprocess.run(
        command, env=with_devices(8), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"said": done.stderr}


@pytest.mark.parametrize("case", CASES)
def test_eight_devices_give_the_numbers_of_one(over_eight, case):
    assert_as_of_one(over_eight[case])


@pytest.mark.slow
def test_eight_devices_give_the_numbers_of_one_for_further_models():
    found = trained_over_eight(*MORE_CASES)
    for case in MORE_CASES:
        assert_as_of_one(found[case])
        assert_the_same_again(found[case])


def assert_as_of_one(found):
    assert found["devices"] == 8
    for name in ("loss", "elbo", "iw"):
        of_one, of_eight = found[name]
        assert of_eight == pytest.approx(of_one, rel=RTOL), name


@pytest.mark.parametrize("case", CASES)
def test_eight_devices_give_the_same_bits_again_and_streamed(over_eight, case):
    assert_the_same_again(over_eight[case])


def assert_the_same_again(found):
    assert found["same as itself"]
    assert found["streamed is the same"]
    # Of one device, of eight, and of eight to which chunks are streamed.
    assert found["compilations"] == 3


def test_each_device_has_its_part_of_a_batch(over_eight):
    assert 40 // 8 in over_eight["rows"]
    assert 40 not in over_eight["rows"]


def test_as_many_devices_share_a_batch_as_divide_it(over_eight):
    assert over_eight["counts"] == {
        "64/1/0": 8,  # images, microbatches, devices that are wanted
        "64/16/0": 4,
        "12/1/0": 6,
        "7/1/0": 7,
        "5/1/4": 1,
        "12/1/4": 4,
    }
    text = "8 devices cannot share batches, or parts of them, of 4 images: 4 used"
    assert text in over_eight["said"]


class Team:
    """Processes with two devices each that run one command."""

    def __init__(self, num, *args, first=(), last=()):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = [first, *[()] * (num - 2), last]
        self.processes = []
        for index in range(num):
            flags = [
                "--distributed",
                f"--coordinator=127.0.0.1:{port}",
                f"--num_processes={num}",
                f"--process_id={index}",
            ]
            command = [sys.executable, "main.py", *SMALL, *args, *flags, *own[index]]
            self.processes.append(
                subprocess.Popen(
                    command,
                    cwd=main.ROOT,
                    env=with_devices(2),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def wait(self):
        """Exit codes and what was said."""
        said = [process.communicate(timeout=300) for process in self.processes]
        return [p.returncode for p in self.processes], [out + err for out, err in said]


CONFIG = "--config=configs/digits_mlp.py"


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """A run of two processes that was never interrupted."""
    folder, other = (tmp_path_factory.mktemp("two") / name for name in ("run", "other"))
    own = {"first": [f"--workdir={folder}"], "last": [f"--workdir={other}"]}
    codes, said = Team(2, CONFIG, **own).wait()
    assert codes == [0, 0], said
    # Only the first one writes, and only it says how far they are.
    assert not other.exists()
    assert "epoch 3/3" in said[0]
    assert "epoch" not in said[1]
    return folder


def assert_close(a, b):
    """Rows of logs, or evaluations: equal but for the rounding of float32."""
    for one, other in zip(rows(a), rows(b), strict=True):
        assert one.keys() == other.keys()
        numbers = {k: v for k, v in one.items() if isinstance(v, float)}
        assert numbers == pytest.approx({k: other[k] for k in numbers}, rel=1e-4)


def test_two_processes_train_as_one_does(by_two, tmp_path, monkeypatch):
    monkeypatch.chdir(main.ROOT)
    arguments = ["main.py", CONFIG, *SMALL, f"--workdir={tmp_path / 'one'}"]
    assert main.main(arguments) == 0
    # 15 updates by Adam, which makes more of a difference in the last bits.
    assert_close(by_two, tmp_path / "one")
    of_two, of_one = (result(f)["numbers"]["elbo"] for f in (by_two, tmp_path / "one"))
    assert of_two["value"] == pytest.approx(of_one["value"], rel=1e-4)


def test_a_run_of_two_goes_on_by_two_by_one_and_by_two_again(by_two, tmp_path):
    folder = tmp_path / "run"
    saves = "--config.checkpoint.every_steps=1"
    team = Team(2, CONFIG, saves, first=[f"--workdir={folder}"])
    deadline = time.monotonic() + 240
    while not list(folder.glob("checkpoints/[1-9]*/meta")):
        assert time.monotonic() < deadline
        assert team.processes[0].poll() is None
        time.sleep(0.02)
    for process in team.processes:  # as a cluster does, to every process
        process.send_signal(signal.SIGTERM)
    codes, said = team.wait()
    assert codes in ([0, 0], 2 * [128 + signal.SIGTERM]), said
    assert "To go on" in said[0] or not codes[0]
    one_epoch_more = "--config.train.max_minutes=0.001"
    command = [sys.executable, "main.py", CONFIG, *SMALL, saves, one_epoch_more]
    subprocess.run(
        [*command, f"--workdir={folder}"],
        cwd=main.ROOT,
        env=with_devices(1),
        timeout=300,
        check=True,
        capture_output=True,
    )
    codes, said = Team(2, CONFIG, saves, first=[f"--workdir={folder}"]).wait()
    assert codes == [0, 0], said
    assert_close(by_two, folder)


def test_numbers_that_blow_up_end_a_team_with_what_did(tmp_path):
    folder = tmp_path / "run"
    first = [f"--workdir={folder}"]
    codes, said = Team(2, CONFIG, "--config.optim.lr=1e20", first=first).wait()
    assert codes == [1, 1], said
    assert "The first that was not: " in said[0]
    assert list(folder.glob("step_*.json"))
    assert "Traceback" not in "".join(said)


def test_processes_with_other_configs_all_end_in_a_line(tmp_path):
    first = [f"--workdir={tmp_path / 'run'}"]
    codes, said = Team(2, CONFIG, first=first, last=["--config.data.limit=331"]).wait()
    assert codes == [2, 2], said
    assert said[0].splitlines()[-1] == (
        "main.py: --distributed: every process must have the same config and images, "
        "but processes 1 have not those of the first, and say in what they differ"
    )
    assert said[1].splitlines()[-1] == (
        "main.py: process 1: data.limit is 330 at the first, 331 here"
    )
    assert "Traceback" not in "".join(said)
    assert not (tmp_path / "run").exists()


def test_processes_with_one_config_differ_in_their_images():
    config = {"seed": 1, "data": {"name": "mnist"}}
    assert team.difference(config, config) == "other images than at the first"
    # Of another version of the code, perhaps.
    other = {"seed": 2, "data": {"name": "mnist", "dir": ""}}
    assert team.difference(config, other) == (
        "data.dir is None at the first, '' here; seed is 1 at the first, 2 here"
    )


def test_a_process_that_cannot_begin_is_not_waited_for(tmp_path):
    lost = "--config.data.path=/nowhere.npz"
    codes, said = Team(
        2,
        CONFIG,
        first=[f"--workdir={tmp_path / 'run'}"],
        last=["--config.data.name=npz", lost],
    ).wait()
    assert codes == [2, 2], said
    assert "process 1: data.path" in said[1]
    assert "Traceback" not in "".join(said)


def test_batches_that_a_team_cannot_share_are_refused(tmp_path):
    codes, said = Team(
        2, CONFIG, "--config.data.batch_size=6", first=[f"--workdir={tmp_path / 'run'}"]
    ).wait()
    assert codes == [2, 2], said
    assert (
        "main.py: data.batch_size: must suit all devices, but 4 devices cannot share "
        "batches, or parts of them, of 6 images"
    ) in said[0]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--coordinator=a:1"], "--coordinator: is for --distributed"),
        (
            ["--distributed", "--mode=doctor"],
            "--distributed: is for --mode=train",
        ),
        (
            ["--distributed", "--coordinator=a:1", "--num_processes=2"],
            "--process_id: must be given with --coordinator",
        ),
        (
            [
                "--distributed",
                "--coordinator=a:1",
                "--num_processes=2",
                "--process_id=2",
            ],
            "--process_id: must be below --num_processes, 2, got 2",
        ),
        *(
            (
                [
                    "--distributed",
                    f"--coordinator={value}",
                    "--num_processes=2",
                    "--process_id=0",
                ],
                f"--coordinator: must be host:port, got {value!r}",
            )
            for value in ("nonsense", ":80", "a:b", "a:0", "a:70000")
        ),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(args, text, capsys, monkeypatch):
    monkeypatch.chdir(main.ROOT)
    assert main.main(["main.py", CONFIG, *args]) == 2
    assert capsys.readouterr().err == f"main.py: {text}\n"


def test_without_a_cluster_the_flags_say_what_is_missing():
    done = subprocess.run(
        [sys.executable, "main.py", CONFIG, "--distributed"],
        cwd=main.ROOT,
        env=with_devices(1),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("main.py: --distributed: without --coordinator")
    assert "Traceback" not in done.stderr


def test_more_devices_than_there_are_are_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(main.ROOT)
    arguments = [f"--workdir={tmp_path / 'run'}", "--config.train.devices=99"]
    assert main.main(["main.py", CONFIG, *SMALL, *arguments]) == 2
    error = capsys.readouterr().err
    assert "train.devices: must be at most the 1 that there are, got 99" in error


def test_sigterm_is_not_taken_by_jax_while_the_others_are_waited_for(monkeypatch):
    def initialize(*given):
        assert not jax.config.jax_enable_preemption_service
        called.append(given)

    called, before = [], jax.config.jax_enable_preemption_service
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    try:
        team.join("localhost:1", 2, 0)
    finally:
        jax.config.update("jax_enable_preemption_service", before)
    assert called == [("localhost:1", 2, 0)]
