"""Run directories made by hand, and what the pages of them hold."""

import json
import re
from html.parser import HTMLParser

from vae_jax import html

NUMBER = {"value": -99.2210, "standard_error": 0.2568, "n": 100, "unit": "nats"}
SAMPLES = {
    "protocol": {"extractor": "pixels", "n_real": 70, "image_shape": [4, 4, 1]},
    "floor": {"fd_pixels": {"value": 27.2358, "how": "70 training images"}},
    "reconstruction": {"fd_pixels": {"value": 11.7587, "how": "reconstructions"}},
    "prior": {
        "fd_pixels": {
            "value": 119.3619,
            "n_real": 70,
            "n_fake": 80,
            "unit": "squared units",
            "how": "samples from the prior",
        },
        "precision_pixels": {"value": 0.8395, "how": "prior; 5 nearest neighbours"},
        "recall_pixels": {"value": 0.859},
        "density_pixels": {"value": 0.5543},
        "coverage_pixels": {"value": None},
    },
    "mixture": {"fd_pixels": {"value": 46.9375, "how": "samples from a mixture"}},
}
FOUND = {
    "split": "test",
    "checkpoint": "best",
    "step": 14040,
    "epoch": 30,
    "data": {"name": "mnist", "source": "cache", "train": 60, "image_shape": [4, 4, 1]},
    "bound_kind": "density",
    "numbers": {"elbo": NUMBER | {"how": "a bound on the log-density"}},
    "kl_per_dimension": {
        "groups": [[1.25, None], [0.5]],
        "how": ["estimated", "in closed form"],
        "n": 297,
    },
    "samples": SAMPLES,
}
CONFIG = {
    "exp_name": "first run",
    "data": {"name": "mnist", "dir": ""},
    "model": {"name": "mlp", "z_dim": [20]},
}
PROCESSES = [
    {"started": "monday", "command": ["main.py", "--a=b c"], "git_commit": None},
    {"started": "tuesday", "devices": ["cpu: cpu"], "versions": {"jax": "0.10.2"}},
]
ROWS = [
    {"epoch": 1, "stage": 0, "split": "train", "elbo": -160.5},
    {"epoch": 2, "stage": 0, "split": "train", "elbo": None},
]
FILES = {
    "config.json": CONFIG,
    "environment.json": PROCESSES,
    "data.json": {"train": "ab12", "valid": "cd34", "test": "ef56"},
    "eval.json": FOUND,
}
# Which sections each file is needed for; a section with two has parts of either.
NEEDED = {
    "Numbers": ["eval.json"],
    "Samples": ["eval.json"],
    "Images": ["plots/samples.png"],
    "Latents": ["eval.json"],
    "Training": ["metrics.jsonl"],
    "Data": ["eval.json", "data.json"],
    "Config": ["config.json"],
    "Environment": ["environment.json"],
}
# Any bytes will do: they are copied. All byte values, so that none is lost on the way.
PNG, GIF = b"\x89PNG" + bytes(range(256)), b"GIF89a" + bytes(range(256))
VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """What a page is made of; every start tag must have its end tag, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, name):
        return [value for key, value in self.attributes if key == name]

    def inside(self, tag):
        return [text for where, text in self.texts if where == tag]

    @property
    def text(self):
        return " ".join(text for where, text in self.texts if where != "style")


def made(folder):
    """A run directory with something for every section."""
    for name, content in FILES.items():
        (folder / name).write_text(json.dumps(content))
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "metrics.jsonl").write_text(lines)
    (folder / "plots").mkdir()
    (folder / "plots" / "samples.png").write_bytes(PNG)
    return folder


def change(folder, name, **changes):
    content = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps(content))


def page(folder, suffix=""):
    return Page(html.write(folder, suffix).read_text(encoding="utf-8"))


def cells(folder, first):
    """The cells of the one row of the page that begins with ``first``."""
    text = html.write(folder).read_text(encoding="utf-8")
    rows = [Page(row) for row in re.findall(r"<tr>.*?</tr>", text)]
    (row,) = [row for row in rows if row.texts and row.texts[0][1] == first]
    return [text for _, text in row.texts[1:]]
