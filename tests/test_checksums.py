"""Sums of the files of a folder."""

import hashlib
import shutil
import subprocess

import pytest

from vae_jax import checksums


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.bin").write_bytes(b"abc")
    (tmp_path / "b" / "c d").write_bytes(b"")
    (tmp_path / checksums.NAME).write_text(checksums.text(tmp_path))
    return tmp_path


def test_the_sums_are_what_sha256sum_reads(folder):
    # Of "abc": the example of FIPS 180-2, appendix B.1.
    of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    of_nothing = hashlib.sha256().hexdigest()
    text = (folder / checksums.NAME).read_text()
    assert text == f"{of_abc}  a.bin\n{of_nothing}  b/c d\n"
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--check", "--quiet", checksums.NAME]
        subprocess.run(command, cwd=folder, check=True)


def test_files_are_known_to_be_the_same_only_if_all_have_sums(folder):
    assert checksums.check(folder) is True
    (folder / "b" / "new").touch()
    assert checksums.check(folder) is False
    (folder / "b" / "new").unlink()
    (folder / checksums.NAME).unlink()
    assert checksums.check(folder) is False


def test_a_file_that_has_changed_or_is_gone_is_named(folder):
    (folder / "a.bin").write_bytes(b"abd")
    with pytest.raises(checksums.Damaged, match=r"damaged: its file 'a\.bin' has chan"):
        checksums.check(folder)
    (folder / "a.bin").unlink()
    with pytest.raises(checksums.Damaged, match=r"damaged: its file 'a\.bin' is gone"):
        checksums.check(folder)


@pytest.mark.parametrize("content", [b"\0" * 50, b"\xff", b"words", b"a  ../../b\n"])
def test_sums_that_are_damaged_themselves_are_damage(folder, content):
    (folder / checksums.NAME).write_bytes(content)
    with pytest.raises(checksums.Damaged, match="damaged: its file"):
        checksums.check(folder)


def test_what_is_no_folder_is_damaged(folder):
    with pytest.raises(checksums.Damaged, match=r"a\.bin: damaged: must be a folder"):
        checksums.check(folder / "a.bin")
