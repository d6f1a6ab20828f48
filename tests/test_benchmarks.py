"""What benchmarks count and conclude; how fast anything is, no test asks."""

import json
import math

import numpy as np
import pytest

from benchmarks import (
    cases,
    checking,
    flops,
    summary,
    tracing,
    train_speed,
    workers,
)
from configs import mnist_cnn, mnist_mlp, mnist_provae

MNIST = (28, 28, 1)
# Small, and with what MNIST has: sides that halve twice, a border around the images
# that cells on two of the four grids have a share of.
TINY = {
    "model.hidden_dim": 8,
    "model.z_dim": (3,),
    "model.channels": (3, 5),
    "model.start_res": 2,
    "model.final_res": 16,
    "model.base_ch": 6,
    "model.min_ch": 2,
    "data.batch_size": (8,),
}


def test_the_mlp_of_mnist_takes_5_2_mflop_an_image():
    # Multiply-adds: 784 x 400 on the images; 400 x 400 and 400 x 40 on their way to the
    # latents; 20 x 400, 400 x 400 and 400 x 784 on the way back.
    on_images, others = 313_600, 160_000 + 16_000 + 8_000 + 160_000 + 313_600
    found = flops.layers(mnist_mlp.get_config(), MNIST)
    assert flops.forward(found) == 2 * (on_images + others) == 1_942_400
    assert flops.step(found, 128) == 128 * (4 * on_images + 6 * others)
    assert flops.step(found, 1) == 5_200_000
    decoder = flops.decoder(mnist_mlp.get_config(), MNIST)
    assert flops.forward(decoder) == 2 * (8_000 + 160_000 + 313_600)


def test_a_convolution_counts_every_tap_of_every_position():
    # 4 x 4 taps: 1 to 32 channels on 14 x 14, 32 to 64 on 7 x 7, and the same back;
    # 7 x 7 x 64 = 3136 features to 40 numbers, and back from 20.
    outer, inner = 16 * 32 * 196, 16 * 32 * 64 * 49
    dense = 3136 * 40 + 20 * 3136
    found = flops.layers(mnist_cnn.get_config(), MNIST)
    assert flops.step(found, 1) == 4 * outer + 6 * (2 * inner + outer + dense)


def test_repetition_before_a_3x3_convolution_counts_as_four_2x2_ones():
    config = mnist_provae.get_config()
    # 4 x 4 cells of 128 channels: colour to features and back, 3 x 3, 2048 to 40, 20 to
    # 2048. Then 8 x 8 of 64, shrunk by 3 x 3 and grown by 16 taps for each small cell.
    base = 9 * 128 * 128 * 16 + 2048 * 40 + 20 * 2048
    at_4, at_8 = 16 * 128, 64 * 64
    blocks = 9 * 64 * 128 * 64 + 16 * 128 * 64 * 16
    first = flops.layers(config, MNIST, stage=0)
    assert flops.step(first, 1) == 4 * at_4 + 6 * (base + at_4)
    second = flops.layers(config, MNIST, stage=1)
    assert flops.step(second, 1) == 4 * at_8 + 6 * (base + blocks + at_8)
    fading = flops.layers(config, MNIST, stage=1, fading=True)
    assert flops.step(fading, 1) - flops.step(second, 1) == 10 * at_4


def test_ratios_are_of_one_round_each():
    # 2/1, 6/4 and 9/3: the medians' own ratio would be 6/3.
    found = summary.ratios([2.0, 6.0, 9.0], [1.0, 4.0, 3.0])
    assert found == (2.0, 1.5, 3.0)
    assert str(found) == "2 (1.5..3)"


def test_a_table_has_its_header_once():
    text = summary.table(("a", "b"), [[1, "x"], [2.5, ""]])
    assert text == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 |  |"


def facts(version):
    return {
        "version": version,
        "device": "cpu",
        "platform": "cpu",
        "threads": 2,
        "host_bytes": 300_000_000,
        "device_bytes": None,
    }


def test_the_table_of_training_speed_says_how_much_faster_and_how_near_the_peak(
    tmp_path, capsys
):
    sides = dict.fromkeys(("vae_jax", "torch, usual", "torch, best"))
    model = {
        "batch_size": 10,
        "flops_per_step": 1_000_000,
        "best_form": "eager",
        "steps_per_second": {
            "vae_jax": [20.0, 40.0, 30.0],
            "torch, usual": [10.0, 10.0, 10.0],
            "torch, best": [20.0, 20.0, 20.0],
        },
        "peak_flops": [40e6, 40e6, 40e6],
        "peak_flops_of_one_thread": 30e6,
        "first_step_seconds": dict.fromkeys(sides, 1.25),
        "facts": {side: facts(f"{side} 1.0") for side in sides},
    }
    found = {"machine": summary.machine(), "images": "drawn", "models": {"mlp": model}}
    summary.write(tmp_path / "out", "speed", found, train_speed.text(found))
    text = (tmp_path / "out" / "speed.md").read_text()
    assert text == capsys.readouterr().out
    # 30 of 10 and of 20 steps a second; 1 MFLOP a step is 30 of 40 MFLOP/s.
    rest = "| 1.2 | 300 | 0.75 (0.5..1) |"
    assert f"| mlp | vae_jax | 30 (20..40) | 300 |  {rest}" in text
    assert "| mlp | torch, usual | 10 (10..10) | 100 | 3 (2..4) |" in text
    assert "| mlp | torch, best | 20 (20..20) | 200 | 1.5 (1..2) |" in text
    assert json.loads((tmp_path / "out" / "speed.json").read_text()) == found


def test_time_in_which_events_overlap_counts_once():
    # From 0 to 5, with one within another, and from 7 to 8.
    events = [("b", 7, 8), ("a", 0, 4), ("b", 1, 2), ("a", 3, 5)]
    found = tracing.busy(tracing.Event(*event) for event in events)
    assert found == (6, [("a", 6), ("b", 2)])


def gradients(**changed):
    return {"a": np.array([3.0, 4.0]), "b": np.zeros(2)} | changed


def test_sides_that_agree_are_told_how_well():
    almost = gradients(a=np.array([3.0, 4.0 + 5e-6]))  # the norm of a is 5
    found = checking.check("mlp", (100.0, gradients()), (100.0001, almost))
    assert found["loss"] == pytest.approx(1e-6)
    assert found["gradient"] == pytest.approx(1e-6)
    without = {"a": gradients()["a"]}  # a layer that is not in use has no gradient
    assert checking.check("mlp", (1.0, gradients()), (1.0, without))["gradient"] == 0


@pytest.mark.parametrize(
    ("loss", "grads", "message"),
    [
        (
            100.1,
            gradients(),
            "mlp: both sides must compute the same loss, got 100 here",
        ),
        (math.nan, gradients(), "must compute the same loss, got 100 here and nan"),
        (100.0, gradients(a=np.array([4.0, 3.0])), "difference of 0.28 in a"),
        (100.0, gradients(b=np.ones(2)), "must compute the same gradients"),
        (100.0, gradients(a=np.full(2, math.nan)), "difference of nan in a"),
        (100.0, gradients(c=np.ones(2)), "must have the same weights, got \\['c'\\]"),
    ],
)
def test_sides_that_differ_are_refused(loss, grads, message):
    with pytest.raises(ValueError, match=message):
        checking.check("mlp", (100.0, gradients()), (loss, grads))


def test_an_unknown_model_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"models: must be of mlp, cnn, .* got 'gan'"):
        cases.find("gan")


def test_images_are_random_where_there_is_no_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_JAX_DATA_DIR", str(tmp_path))
    images, source = cases.images(3)
    assert images.shape == (3, 28, 28, 1)
    assert images.dtype == np.uint8
    assert source == "random images of MNIST's shape"


def test_an_error_of_a_worker_is_said_with_its_module():
    given = "benchmarks.nothing", None, {}
    with (
        workers.Worker(*given) as worker,
        pytest.raises(RuntimeError, match=r"nothing: ModuleNotFoundError: No module"),
    ):
        worker.ask("steps", 1)


@pytest.mark.parametrize("name", cases.CASES)
def test_the_reference_computes_the_same_loss_and_gradients(tmp_path, name):
    pytest.importorskip("torch")
    from benchmarks import ours
    from benchmarks.reference import side

    path = str(tmp_path / "images.npy")
    np.save(path, cases.images(16, (12, 12, 1))[0])
    loss, grads, params = ours.Side(name, path, "default", TINY).loss_and_grads()
    theirs = side.Side(name, path, "default", TINY, "usual")
    found = checking.check(name, (loss, grads), theirs.loss_and_grads(params))
    assert found["gradient"] < 1e-5
    wrong = {path: value * 1.01 for path, value in params.items()}
    with pytest.raises(ValueError, match="both sides must compute the same"):
        checking.check(name, (loss, grads), theirs.loss_and_grads(wrong))
