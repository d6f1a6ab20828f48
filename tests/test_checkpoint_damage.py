"""Whatever happens to the files of checkpoints: the state is right or it is said."""

import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_checkpoint import at, initial

from vae_jax import checkpoint, checksums


def half(path, seed):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path, seed):
    path.write_bytes(b"")


def zeroed(path, seed):
    path.write_bytes(bytes(path.stat().st_size))


def deleted(path, seed):
    path.unlink()


def flipped(path, seed):
    """One bit of it."""
    content = bytearray(path.read_bytes())
    place = np.random.default_rng(seed).integers(8 * len(content))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


DAMAGES = [(half, 0), (emptied, 0), (zeroed, 0), (deleted, 0)]
DAMAGES += [(flipped, seed) for seed in range(4)]
IDS = [f"{damage.__name__}{seed or ''}" for damage, seed in DAMAGES]


@pytest.fixture(scope="module")
def first():
    return initial()


@pytest.fixture(scope="module")
def two(first, tmp_path_factory):
    """A run directory with steps 1 and 2, to be copied."""
    folder = tmp_path_factory.mktemp("two")
    with checkpoint.Checkpoints(folder) as saved:
        for step in (1, 2):
            saved.save(at(first, step))
    return folder


@pytest.fixture
def saved(two, tmp_path):
    shutil.copytree(two, tmp_path, dirs_exist_ok=True)
    with checkpoint.Checkpoints(tmp_path) as made:
        yield made


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def assert_goes_on(saved, first, step):
    """The newest whole state is that of a step, and later ones can be saved."""
    found = saved.restore_latest(jax.eval_shape(lambda: first), repair=True)
    assert checkpoint.digest(found) == checkpoint.digest(at(first, step))
    assert saved.steps()[-1] == step
    saved.save(at(first, step + 1))
    assert saved.steps()[-1] == step + 1


@pytest.mark.parametrize(("damage", "seed"), DAMAGES, ids=IDS)
def test_damage_to_any_file_is_found_and_the_file_is_named(
    damage,
    seed,
    saved,
    first,
):
    path = saved.folder / "2"
    every = files_of(path)
    assert len(every) > 10  # orbax's, which are many, and the sums
    for file in every:
        if file.name == checksums.NAME:
            continue
        before = file.read_bytes()
        damage(file, seed)
        name = re.escape(str(file.relative_to(path)))
        with pytest.raises(checkpoint.Damaged, match=f"2: damaged: its file '{name}'"):
            saved.restore(2, first)
        file.write_bytes(before)
    assert_goes_on(saved, first, 2)


@pytest.mark.parametrize(("damage", "seed"), DAMAGES, ids=IDS)
def test_damaged_sums_never_let_a_state_pass_that_is_another(
    damage,
    seed,
    saved,
    first,
    caplog,
):
    damage(saved.folder / "2" / checksums.NAME, seed)
    # None, or half of them: the sum of the state itself has to do.
    whole = damage is deleted or damage is emptied
    assert_goes_on(saved, first, 2 if whole else 1)
    assert ("moved to" in caplog.text) is not whole


# Files of a checkpoint, by what they are for, that orbax reads without sums of them.
READ = ["meta/metadata", "state/_METADATA", "state/manifest.ocdbt", "state/d/*"]


@pytest.mark.parametrize("name", READ)
def test_without_sums_of_files_that_of_the_state_finds_damage(
    name,
    saved,
    first,
    caplog,
    capfd,
):
    (saved.folder / "2" / checksums.NAME).unlink()
    (file, *_) = (saved.folder / "2").glob(name)
    half(file, 0)
    aside = saved.folder.with_name("checkpoints_damaged") / "2"
    before = file.read_bytes()
    assert_goes_on(saved, first, 1)
    assert (aside / file.relative_to(saved.folder / "2")).read_bytes() == before
    assert f"{saved.folder / '2'}: damaged: " in caplog.text
    assert f"; moved to {aside}" in caplog.text
    assert capfd.readouterr() == ("", "")  # orbax's threads print nothing of theirs


def test_a_sum_of_the_state_under_another_name_is_damage(saved, first):
    (saved.folder / "2" / checksums.NAME).unlink()
    path = saved.folder / "2" / "meta" / "metadata"
    path.write_text(path.read_text().replace("sha256", "sha257"))  # a flipped bit
    with pytest.raises(checkpoint.Damaged, match="2: damaged: its content is another"):
        saved.restore(2, first)


def emptied_folder(folder):
    shutil.rmtree(folder / "2")
    (folder / "2").mkdir()


def file_for_folder(folder):
    shutil.rmtree(folder / "2")
    (folder / "2").write_text("2")


def link_to_nowhere(folder):
    shutil.rmtree(folder / "2")
    (folder / "2").symlink_to(folder / "nowhere")


def only_meta(folder):
    shutil.rmtree(folder / "2" / "state")


def only_meta_and_no_sums(folder):
    only_meta(folder)
    (folder / "2" / checksums.NAME).unlink()


def later_file(folder):
    (folder / "2").rename(folder / "3")
    (folder / "2").write_text("")


def under_a_later_name(folder):
    (folder / "2").rename(folder / "7")


@pytest.mark.parametrize(
    "harm",
    [
        emptied_folder,
        file_for_folder,
        link_to_nowhere,
        only_meta,
        only_meta_and_no_sums,
        later_file,
        under_a_later_name,
    ],
)
def test_what_is_no_checkpoint_is_moved_aside(harm, saved, first, caplog):
    harm(saved.folder)
    names = {path.name for path in saved.folder.iterdir()} - {"1"}
    assert_goes_on(saved, first, 1)
    aside = saved.folder.with_name("checkpoints_damaged")
    assert {path.name for path in aside.iterdir()} == names
    assert caplog.text.count("; moved to ") == len(names)


def test_what_is_not_named_like_a_step_is_left_alone(saved, first):
    names = ["notes.txt", "backup", "007", "-1", "2 copy", "best_2"]
    for name in names:
        shutil.copytree(saved.folder / "2", saved.folder / name)
    before = [files_of(saved.folder / name) for name in names]
    assert saved.steps() == [1, 2]
    assert_goes_on(saved, first, 2)
    assert [files_of(saved.folder / name) for name in names] == before


@pytest.mark.parametrize(
    "name", ["2.orbax-checkpoint-tmp", "3.orbax-checkpoint-tmp-1", "1.stale"]
)
def test_what_a_killed_process_left_is_no_checkpoint_and_is_cleared_away(
    name,
    saved,
    first,
):
    shutil.copytree(saved.folder / "2" / "state", saved.folder / name / "state")
    assert saved.restore_latest(first, repair=False).step == 2
    assert (saved.folder / name).exists()  # it may be of the process that trains
    assert_goes_on(saved, first, 2)
    assert not (saved.folder / name).exists()


def test_a_file_in_place_of_all_checkpoints_is_an_error(saved, first):
    shutil.rmtree(saved.folder)
    saved.folder.write_text("")
    with pytest.raises(ValueError, match="checkpoints: must be a folder"):
        saved.restore_latest(first, repair=True)


def test_a_damaged_checkpoint_takes_a_free_name_each_time(saved, first):
    aside = saved.folder.with_name("checkpoints_damaged")
    for name in ("2", "2_1", "2_2"):
        half(saved.folder / "2" / "state" / "_METADATA", 0)
        assert saved.restore_latest(first, repair=True).step == 1
        assert (aside / name / "state" / "_METADATA").exists()
        saved.save(at(first, 2))
    assert len(list(aside.iterdir())) == 3


def without_a_leaf(first):
    return first._replace(ema=None)


def wider(first):
    return jax.tree.map(lambda p: jnp.zeros((*p.shape, 2), p.dtype), first)


def of_half_precision(first):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), first.params)
    return first._replace(params=params)


@pytest.mark.parametrize("other", [without_a_leaf, wider, of_half_precision])
def test_a_whole_checkpoint_of_another_structure_is_no_damage(
    other,
    saved,
    first,
    caplog,
):
    like, before = other(first), files_of(saved.folder.parent)
    message = "2: must be of this config and version, but its state is of another str"
    with pytest.raises(ValueError, match=message) as caught:
        saved.restore_latest(like, repair=True)
    assert not isinstance(caught.value, checkpoint.Damaged)
    assert files_of(saved.folder.parent) == before
    assert caplog.text == ""


def test_what_was_written_wrong_before_its_sums_were_taken_is_damage(saved, first):
    path = saved.folder / "2" / "meta" / "metadata"
    sha256 = checkpoint.digest(at(first, 2))
    path.write_text(path.read_text().replace(sha256, "0" * 64))
    (saved.folder / "2" / checksums.NAME).unlink()
    text = checksums.text(saved.folder / "2")
    (saved.folder / "2" / checksums.NAME).write_text(text)
    assert_goes_on(saved, first, 1)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("too little"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: too little"),
        OSError(24, "Too many open files"),
    ],
)
@pytest.mark.parametrize("with_sums", [True, False])
def test_what_is_scarce_is_no_damage(error, with_sums, saved, first, monkeypatch):
    def fail(*_):
        raise error

    if not with_sums:
        (saved.folder / "2" / checksums.NAME).unlink()
    monkeypatch.setattr(saved._orbax, "restore", fail)
    with pytest.raises(type(error), match=r"too little|Too many"):
        saved.restore_latest(first, repair=True)
    assert saved.steps() == [1, 2]


def test_a_reader_looks_again_when_the_run_went_on_meanwhile(saved, first):
    restore, times = saved.restore, []

    def and_meanwhile(step, like):
        if not times:
            with checkpoint.Checkpoints(saved.folder.parent) as other:
                for later in (3, 4):
                    other.save(at(first, later))
            assert saved.steps() == [3, 4]
        times.append(step)
        if step < 3:
            raise checkpoint.Damaged("is gone")
        return restore(step, like)

    saved.restore = and_meanwhile
    assert saved.restore_latest(first, repair=False).step == 4
    assert times == [2, 1, 4]


def test_a_checkpoint_that_may_not_be_read_is_no_damage(
    saved,
    first,
    monkeypatch,
):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "2/state")

    monkeypatch.setattr(checksums, "_of", refuse)  # as root, modes mean nothing
    with pytest.raises(PermissionError, match="Permission denied: '2/state'"):
        saved.restore_latest(first, repair=True)
    assert saved.steps() == [1, 2]


def test_a_checkpoint_that_the_disk_cannot_read_is_damaged(
    saved,
    first,
    monkeypatch,
):
    def fail(*_):
        raise OSError(5, "Input/output error", "2/state")

    monkeypatch.setattr(checksums, "_of", fail)
    with pytest.raises(checkpoint.Damaged, match=r"2: damaged: .*Input/output error"):
        saved.restore(2, first)
