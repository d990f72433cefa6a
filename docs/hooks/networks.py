"""The pages of the networks, made while the site is built: from registry, catalogue, figures and graphs.

Networks are built without weights that mean anything, on Keras's NumPy backend, which takes a second each at most.
"""

from __future__ import annotations

import csv
import functools
import importlib
import inspect
import io
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import jinja2
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

os.environ.setdefault("KERAS_BACKEND", "numpy")

import keras_inception as ki
from keras_inception.docstrings import SHARED
from keras_inception.graph import block_table
from keras_inception.plot import draw
from keras_inception.training.recipes import list_recipes, load_recipe
from keras_inception.weights import list_weights

HERE = Path(__file__).parent
FIGURES = HERE.parent / "figures"
TRAINED_ON = 1_281_167  # images of ImageNet
MODES = ("float32", "float16", "dynamic", "int8", "int16x8")
NOTICED = 0.95  # of our time: below that, another is quicker
FORWARD_AND_BACKWARD = 3  # a training step, in forward passes


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds networks/index.md, networks/NAME.md and the drawings."""
    for name, content in pages():
        files.append(File.generated(config, f"networks/{name}", content=content))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Name and content of every file below networks/."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"short": short, "figure": figure, "percent": percent, "quicker": quicker}
    networks = [Network(name) for name in ki.list_models()]
    for network in networks:
        yield f"{network.name}.md", environment.get_template("network.md.jinja").render(network=network, ki=ki)
        yield from network.drawings.items()
    yield "index.md", environment.get_template("networks.md.jinja").render(networks=networks)
    yield from comparisons(networks)


class Network:
    """All that the page of a network tells.

    Args:
        name: Registry id.
    """

    def __init__(self, name: str) -> None:
        self.name, self.entry = name, ki.get_entry(name)
        self.words: dict[str, Any] = words()[name]
        self.builder = self.entry.load_builder()
        plain = self.builder()
        self.blocks = [row for row in block_table(plain) if row.weights]
        whole = self.builder(aux_heads=True) if self.entry.aux_heads else plain
        self.drawings = {
            f"{name}{part}-{shade}.svg": draw(network, blocks=blocks, dark=shade == "dark")
            for part, network, blocks in (("", whole, None), ("-module", plain, self.words["module"]))
            for shade in ("light", "dark")
        }

    @property
    def options(self) -> list[dict[str, str]]:
        """Its builder's own arguments: name, what is taken, default, meaning."""
        sections = griffe.Docstring(self.builder.__doc__ or "").parse("google", warnings=False)
        (described,) = (section.value for section in sections if section.kind.value == "parameters")
        said = {parameter.name: " ".join(parameter.description.split()) for parameter in described}
        rows = []
        for name, parameter in inspect.signature(self.builder).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and (name not in SHARED or self.entry.aux_heads):
                kind = re.sub(r"Literal\[(.*)\]", r"\1", str(parameter.annotation)).replace("'", '"')
                default = repr(parameter.default).replace("'", '"')
                rows.append({"name": name, "kind": kind, "default": default, "says": said[name]})
        return [row for row in rows if row["name"] not in ("include_preprocessing", "stochastic_depth")]

    @property
    def weight_sets(self) -> list[Any]:
        """Its released weight sets."""
        return list_weights(self.name)

    @property
    def files(self) -> list[dict[str, str]]:
        """Rows of its own exported files in docs/figures/networks.csv."""
        rows = [row for row in measured() if row["network"] == self.name and row["who"] == "keras-inception"]
        return sorted(rows, key=lambda row: MODES.index(row["mode"]))

    def file(self, mode: str) -> dict[str, str]:
        """The row of one mode."""
        return next(row for row in self.files if row["mode"] == mode)

    @property
    def peers(self) -> list[dict[str, str]]:
        """Rows of what others make of the network, each with its latency to ours of the same mode."""
        rows = []
        for row in measured():
            if row["network"] == self.name and row["who"] != "keras-inception":
                ratio = (
                    f"{float(row['latency_2_ms']) / float(self.file(row['mode'])['latency_2_ms']):.2f}"
                    if row["latency_2_ms"]
                    else row["operators"].partition(":")[0]
                )
                rows.append({**row, "ratio": ratio})
        return rows

    def beside(self, who: str, mode: str) -> str:
        """Another's latency to ours in a mode; bold where that is quicker, a dash where there is none."""
        ratios = [
            row["ratio"] for row in self.peers if (row["who"], row["mode"]) == (who, mode) and row["latency_2_ms"]
        ]
        return "–" if not ratios else f"**{ratios[0]}**" if float(ratios[0]) < NOTICED else ratios[0]

    @property
    def sources(self) -> list[dict[str, str]]:
        """Rows of docs/figures/sources.csv: implementations that its outputs were held against."""
        return [row for row in table("sources") if row["network"] == self.name]

    @property
    def agreement(self) -> list[dict[str, str]]:
        """Rows of docs/figures/int8.csv: a trained network against its files."""
        return [row for row in table("int8") if row["network"] == self.name]

    @property
    def recipe(self) -> dict[str, Any] | None:
        """Its paper's training recipe, with what that costs."""
        if self.name not in list_recipes():
            return None
        config = load_recipe(self.name)
        images = config.epochs * TRAINED_ON
        module = importlib.import_module(f"keras_inception.training.recipes.{self.name}")
        return {
            "says": (module.__doc__ or "").splitlines()[0],
            "epochs": config.epochs,
            "batch": config.pipeline.batch_size,
            "images": images,
            "multiply_adds": images * FORWARD_AND_BACKWARD * self.entry.multiply_adds,
        }


def quicker(networks: list[Network]) -> Iterator[str]:
    """A sentence for each of the others: for how many networks it is quicker."""
    for who, name in (
        ("keras.applications", "keras.applications"),
        ("onnxruntime", "ONNX Runtime"),
        ("openvino", "OpenVINO"),
    ):
        counts = []
        for mode in ("float32", "int8"):
            cells = [cell for network in networks if (cell := network.beside(who, mode)) != "–"]
            counts.append(f"{sum(cell.startswith('*') for cell in cells)} of {len(cells)} networks in {mode}")
        yield f"{name} is quicker for {' and '.join(counts)}."


@functools.cache
def words() -> dict[str, Any]:
    """networks.toml."""
    return tomllib.loads((HERE / "networks.toml").read_text("utf-8"))


@functools.cache
def table(name: str) -> list[dict[str, str]]:
    """The rows of a file in docs/figures."""
    with (FIGURES / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measured() -> list[dict[str, str]]:
    """The rows of docs/figures/networks.csv."""
    return table("networks")


def comparisons(networks: list[Network]) -> Iterator[tuple[str, str]]:
    """Accuracy against multiply-adds and against the latency of int8 files, as SVG in light and dark."""
    for shade in ("light", "dark"):
        axes = [
            ("cost", "multiply-adds (millions)", lambda network: network.entry.multiply_adds / 1e6),
            ("latency", "int8, one thread (ms)", lambda network: float(network.file("int8")["latency_1_ms"])),
        ]
        for part, label, of in axes:
            points = [
                (network.words["heading"].split(" (")[0], of(network), network.entry.top1) for network in networks
            ]
            yield f"{part}-{shade}.svg", scatter(points, label, dark=shade == "dark")


def scatter(points: list[tuple[str, float, float]], label: str, *, dark: bool) -> str:
    """A logarithmic axis against top-1 accuracy, each point with its name."""
    import matplotlib as mpl
    from adjustText import adjust_text

    mpl.use("svg")
    from matplotlib import pyplot as plt

    ink, grid, dot = ("#e8edf2", "#3a444e", "#3fb3b3") if dark else ("#1d2733", "#d9dfe5", "#1f8a8a")
    style = {"text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink, "axes.edgecolor": grid,
             "svg.hashsalt": label, "svg.fonttype": "none", "font.size": 11, "font.family": "sans-serif"}  # fmt: skip
    with mpl.rc_context(style):
        figure_, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
        axes.set_xscale("log")
        axes.grid(color=grid, linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.scatter([x for _, x, _ in points], [y for _, _, y in points], color=dot, s=36, zorder=3)
        names = [axes.text(x, y, name, fontsize=9) for name, x, y in points]
        axes.set_xlabel(label)
        axes.set_ylabel("ImageNet top-1 (%)")
        axes.margins(0.12, 0.08)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda *_: "")
        figure_.draw_without_rendering()  # names are moved where they fit, in the scales as they are now
        adjust_text(names, [x for _, x, _ in points], [y for _, _, y in points], ax=axes, expand=(1.15, 1.5),
                    arrowprops={"arrowstyle": "-", "color": ink, "linewidth": 0.5})  # fmt: skip
        text = io.StringIO()
        figure_.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure_)
    return text.getvalue()


def short(number: float) -> str:
    """A count in thousands, millions or billions."""
    for unit, letter in ((1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{letter}"
    return str(number)


def percent(value: float | None) -> str:
    """An accuracy in percent, where there is one."""
    return "–" if value is None else f"{value:.1f}"


def figure(text: str, digits: int = 3) -> str:
    """A measured figure with as many digits as it deserves; a dash where there is none."""
    return f"{float(f'{float(text):.{digits}g}'):g}" if text else "–"
