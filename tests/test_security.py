"""What may come from somebody else: it is read, and nothing in it is run."""

import ast
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tfds_sets
from conftest import anything
from evaluated import config, evaluation, run, with_samples
from html_runs import FILES, ROWS, Page, made
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import main
import vae_jax
from vae_jax import comparison, html
from vae_jax.data import decoded, own_npz, tfds_source

ROOT = pathlib.Path(vae_jax.__file__).parents[1]
SOURCES = [ROOT / "main.py", *ROOT.glob("configs/*.py"), *ROOT.glob("vae_jax/**/*.py")]
# Modules that run code, or write where an archive says, and the files that may import
# them: pickle where every name that is admitted is listed, pip and git as commands.
ONLY_IN = {
    "pickle": {"vae_jax/data/wheel.py", "vae_jax/extractors/torch_pickle.py"},
    "subprocess": {"vae_jax/data/wheel.py", "vae_jax/experiment.py"},
}
NOWHERE = {"marshal", "shelve", "dill", "joblib", "cloudpickle", "yaml", "tarfile"}
NOWHERE |= {"ctypes", "runpy", "imp", "torch", "shell=True", "allow_pickle=True"}
NOWHERE |= {"eval()", "exec()", "compile()", "__import__()", "np.load()"}
# Of whatever they are called: os, zipfile, shutil, importlib, scipy.io, yaml.
NOWHERE |= {f".{name}()" for name in "extract extractall unpack_archive".split()}
NOWHERE |= {f".{name}()" for name in "system popen import_module loadmat".split()}


def dangers(source):
    """What a file imports and calls, and the keywords that it sets to True."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            yield from (f"{text}()", f".{text.split('.')[-1]}()" if "." in text else "")
            for keyword in node.keywords:
                yield f"{keyword.arg}={ast.unparse(keyword.value)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_runs_code_is_used_only_where_it_is_known(path):
    own = str(path.relative_to(ROOT))
    found = set(dangers(path.read_text()))
    assert not found & NOWHERE
    assert not {name for name in found & ONLY_IN.keys() if own not in ONLY_IN[name]}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from torch import load",
        "eval('1')",
        "numbers = np.load(path)",
        "run(command, shell=True)",
        "archive.extractall(folder)",
        "import yaml",
    ],
)
def test_the_search_for_dangers_finds_them(line):
    assert set(dangers(line)) & (NOWHERE | ONLY_IN.keys())


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_a_cache_that_holds_python_objects_is_made_anew_and_never_unpickled(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path, trace = tmp_path / "vae_jax" / "a" / "b.npz", tmp_path / "trace"
    path.parent.mkdir(parents=True)
    np.savez(path, images=np.array([Trap(trace)], dtype=object))
    found = decoded.once("a", "b", lambda: {"images": np.zeros(3)}, {"images": 3})
    np.testing.assert_array_equal(found["images"], np.zeros(3))
    assert not trace.exists()


@pytest.mark.parametrize("name", ["../images", "/tmp/images", "a/../../images"])
def test_an_archive_writes_nothing_whatever_its_members_are_called(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr(f"{name}.npy", b"hostile")
        link = zipfile.ZipInfo("images.npy")
        link.external_attr = 0o120777 << 16  # a symbolic link
        archive.writestr(link, str(tmp_path / "outside"))
    with pytest.raises(ValueError, match="must hold the plain arrays images, got"):
        own_npz.load(str(folder / "a.npz"))
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "folder",
        "folder/a.npz",
    ]


@pytest.mark.parametrize("form", ["proto", "legacy", "within", "linked"])
def test_a_prepared_set_cannot_have_a_module_of_its_own_imported(
    tmp_path, monkeypatch, form
):
    place = tfds_sets.prepare(tmp_path / "sets", {"train": tfds_sets.labelled(1)})
    trace = tmp_path / "trace"
    (place / "hostile.py").write_text(f"import os; os.mkdir({str(trace)!r})")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, "hostile", raising=False)
    features = json.loads((place / "features.json").read_text())
    name = "hostile.Feature"
    if form in ("proto", "linked"):
        features["featuresDict"]["features"]["image"]["pythonClassName"] = name
    elif form == "legacy":
        features = {"type": name, "content": {}}
    else:
        text = json.dumps({"feature": {"type": name, "content": {}}, "length": None})
        kind = "tensorflow_datasets.core.features.sequence_feature.Sequence"
        features = {"pythonClassName": kind, "jsonFeature": {"json": text}}
    (place / "features.json").write_text(json.dumps(features))
    if form == "linked":  # which TFDS follows
        hidden = tmp_path / "sets" / ".hidden"
        place.rename(hidden)
        place.symlink_to(hidden)
        (hidden / "circle").symlink_to(hidden)
    wanted = anything(directory=str(tmp_path / "sets"))
    with pytest.raises(ValueError, match=r"got 'hostile\.Feature' in features\.json"):
        tfds_source.load("tfds:tiny", wanted)
    assert not trace.exists()
    with pytest.raises(ValueError, match="Unrecognized FeatureConnector"):
        tfds.features.FeatureConnector.from_config(place)  # the trap works
    assert trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"exp_name": "../../elsewhere"}', "exp_name: must be printable text that"),
        ('{"exp_name": "a\\u0000b"}', "exp_name: must be printable text that"),
        ('{"loss": {"beta": "__import__(\'os\')"}}', "must be the config of a run: "),
        ('{"model": {"hidden_dim": 1e400}}', "must be the config of a run: "),
        ('{"model": {"z_dim": [' + "9" * 30 + "]}}", "model.z_dim: must be a tuple"),
        ('{"a": {"b": "!!python/object"}}', "a.b: no such field"),
        ("[" * 100_000, "recursion"),
        ("import os", "must be the config of a run: "),
    ],
)
def test_a_hostile_config_is_refused_in_a_line(tmp_path, capsys, content, message):
    (tmp_path / "config.json").write_text(content)
    for mode in ("train", "eval", "sample"):
        arguments = ["main.py", f"--mode={mode}", f"--workdir={tmp_path}"]
        assert main.main(arguments) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


# Trains a little, puts all sorts of things into the run directory, and lists what
# Python says happens while the run is loaded: what is unpickled, run or imported from
# there, and which files elsewhere are opened to be written.
CHILD = """
import json, os, pathlib, pickle, sys
import main
from vae_jax import checksums
folder, traps = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
small = sys.argv[3:]
assert main.main(["main.py", *small, f"--workdir={folder}"]) == 0

class Trap:
    def __reduce__(self):
        return os.mkdir, (str(traps / "trace"),)

step = max((p for p in (folder / "checkpoints").iterdir()), key=lambda p: int(p.name))
places = folder, folder / "checkpoints", step, step / "state", step / "meta"
for place in places:
    for name in "state.pkl checkpoint.pth checkpoint.msgpack array.npy x.so".split():
        (place / name).write_bytes(pickle.dumps(Trap()))
    (place / "config.py").write_text(f"import os; os.mkdir({str(traps / 'trace')!r})")
metadata = step / "_CHECKPOINT_METADATA"
told = json.loads(metadata.read_text())
told["item_handlers"] = {name: "config.Handler" for name in ("state", "meta")}
metadata.write_text(json.dumps(told))
tree = step / "state" / "_METADATA"
known, foreign = '"value_type": "np.ndarray"', '"value_type": "config.Trap"'
text = tree.read_text().replace(known, foreign)
assert text != tree.read_text()
tree.write_text(text)
# As whoever makes such a thing would: the sums are those of what is there.
(step / checksums.NAME).unlink()
(step / checksums.NAME).write_text(checksums.text(step))

seen = []
allowed = str(folder), os.environ["JAX_COMPILATION_CACHE_DIR"], "/dev/", "/proc/"
def hook(event, arguments):
    if event in ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn"):
        seen.append([event, *map(str, arguments)])
    elif event == "exec" and str(folder) in arguments[0].co_filename:
        seen.append([event, arguments[0].co_filename])
    elif event == "subprocess.Popen" and "git" not in arguments[1]:
        seen.append([event, *map(str, arguments)])
    elif event == "open" and isinstance(arguments[0], str) and arguments[2] & 3:
        path = os.path.abspath(arguments[0])
        if not path.startswith(allowed):
            seen.append([event, path])
sys.addaudithook(hook)
code = [main.main(["main.py", f"--mode={mode}", f"--workdir={folder}"])
        for mode in ("sample", "eval")]
print(json.dumps([code, seen]))
"""
SMALL = """--config=configs/digits_mlp.py --config.train.epochs=1 --config.data.limit=64
--config.data.batch_size=64 --config.model.hidden_dim=2 --config.model.z_dim=2
--config.eval.extractor=none""".split()


def test_nothing_in_a_run_directory_is_run_when_it_is_loaded(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", CHILD, str(folder), str(tmp_path), *SMALL]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    codes, seen = json.loads(done.stdout.splitlines()[-1])
    assert seen == []
    assert codes == [0, 0]  # loaded: nothing that is needed was changed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


HOSTILE = "<script>alert(1)</script>"
LEAVES = [None, True, -1, 1.5, 10**400, float("nan"), HOSTILE, "a\nb|c\ud800\x1b[2J"]
LEAVES += [[], {}, [1], {"value": 1}, {"value": "x", "unit": 3}]
FEW = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def places_of(tree, above=()):
    yield above
    keys = range(len(tree)) if isinstance(tree, list) else tree
    for key in keys if isinstance(tree, dict | list) else ():
        yield from places_of(tree[key], (*above, key))


@st.composite
def altered(draw, tree):
    """JSON of the same kind in which some parts are others, absent, or more."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(list(places_of(tree))))
        leaf = copy.deepcopy(draw(st.sampled_from(LEAVES)))
        if not place:
            return leaf
        part = tree
        for key in place[:-1]:
            part = part[key]
        kind = draw(st.sampled_from(["other", "absent", "more"]))
        if kind == "absent":
            del part[place[-1]]
        elif kind == "more" and isinstance(part, dict):
            part[draw(st.sampled_from([HOSTILE, "a|b", "a\nb"]))] = leaf
        else:
            part[place[-1]] = leaf
    return tree


def test_any_files_of_a_run_make_a_page_without_their_markup_or_a_clear_error(tmp_path):
    made(tmp_path)
    tags = set(Page(html.write(tmp_path).read_text()).tags)
    outcomes = []

    @FEW
    @given(
        st.fixed_dictionaries({n: altered(c) for n, c in FILES.items()}), altered(ROWS)
    )
    def check(files, rows):
        for name, content in files.items():
            (tmp_path / name).write_text(json.dumps(content))
        lines = rows if isinstance(rows, list) else [rows]
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (tmp_path / "metrics.jsonl").write_text(text)
        try:
            found = Page(html.write(tmp_path).read_text())
        except ValueError as error:
            outcomes.append(str(error))
        else:
            outcomes.append("")
            assert set(found.tags) <= tags

    check()
    assert any(outcomes)
    assert not all(outcomes)
    assert all(said.startswith(str(tmp_path)) for said in outcomes if said)


def unescaped(markdown):
    return re.sub(r"\\.", "", markdown)


def test_any_evaluations_make_whole_tables_without_their_markup_or_a_clear_error():
    outcomes = []
    runs = st.tuples(
        altered(with_samples()), altered(config()), altered({"test": "0a1b"})
    )

    @FEW
    @given(runs)
    def check(parts):
        try:
            other = comparison.run_of(pathlib.Path("/runs/b"), *parts, {})
            found = comparison.compare([run("a", evaluation()), other])
        except ValueError as error:
            outcomes.append(str(error))
            return
        outcomes.append("")
        comparison.as_csv(found).encode()
        for turned in (False, True):
            text = comparison.as_markdown(found, turned)
            assert text.isascii() or text.encode()
            assert "<" not in unescaped(text)
            assert "\x1b" not in text
            for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
                bars = {unescaped(line).count("|") for line in table.splitlines()}
                assert len(bars) == 1

    check()
    assert any(outcomes)
    assert not all(outcomes)


def test_what_would_break_a_line_or_steer_a_console_is_shown_as_text():
    other = run("b", **{"loss.beta": "a\nb", "model.name": "\x1b[2Jmlp"})
    found = comparison.compare([run("a", **{"loss.beta": 1.0}), other])
    for turned in (False, True):
        text = comparison.as_markdown(found, turned)
        assert r"a\\nb" in text
        assert r"\\x1b\[2Jmlp" in text


def test_names_of_fields_and_models_are_no_markup_in_a_comparison():
    other = run("b", **{"loss.beta": HOSTILE, "model.name": HOSTILE})
    other.config["<b>|x"], other.config["<i>"] = 1, 2
    one = run("a", **{"loss.beta": 1.0})
    one.config["<b>|x"] = 2
    text = comparison.as_markdown(comparison.compare([one, other]))
    assert "alert(1)" in text
    assert r"\<b\>\|x" in text
    assert r"Not in the config of every run: \<i\>." in text
    assert "<" not in unescaped(text)
