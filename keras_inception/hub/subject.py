"""What a card is about: a model and all that was written down of it, each part only where it is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_inception.training import Evaluation, Run, TrainConfig
from keras_inception.training.files import read_json
from keras_inception.weights import WeightSet

CARD, EXPORT, PROOF, MAIN_EVALUATION = "README.md", "export", "proof.json", "evaluation.json"
_PATH = re.compile(r"(?:[A-Za-z]:)?[\\/]|~|\.{1,2}[\\/]")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, as far as its folder tells.

    Attributes:
        name: What it is called.
        network: Registry id of its network; empty where it is none of the registry's.
        class_names: Names of its classes.
        image_shape: Height, width and channels of its pictures.
        interpolation: How pictures are resized for it.
        central_crop: Share of a picture's shorter side that is kept.
        config: How it was trained; None where it was not trained here, or that is not known.
        data: What it was trained on, as data.json says.
        evaluations: What it was evaluated on, by the file that says so; that of the run's test images comes first.
        metrics: What metrics.json tells of the training.
        calibration: What calibration.json tells.
        environment: What environment.json tells.
        export: The content of export.json.
        export_folder: Where the files of the export are, as from the folder: empty or `export`.
        proof: The content of proof.json.
        origin: The released weights that it is or began with.
        began_with: What the weights that it began with were called.
        license: Under which the card in the folder gives it; empty without one.
        call: What `open_model` is called with where it is none of a hub's, as Python writes it.
    """

    name: str
    network: str = ""
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    interpolation: str = "bilinear"
    central_crop: float = 1.0
    config: TrainConfig | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    export: Mapping[str, Any] = field(default_factory=dict)
    export_folder: str = ""
    proof: Mapping[str, Any] = field(default_factory=dict)
    origin: WeightSet | None = None
    began_with: str = ""
    license: str = ""
    call: str = ""

    @property
    def several(self) -> bool:
        """Whether a picture may have several labels."""
        return bool(self.data.get("several_labels")) or "thresholds" in self.export.get("output", {})

    @property
    def evaluation(self) -> Evaluation | None:
        """That of the run's test images."""
        return self.evaluations.get(MAIN_EVALUATION)

    @property
    def source(self) -> str:
        """What the data is called; of a path the last part, since what is above is nobody's business."""
        return shown(str(self.data.get("data", "")))


def subject_of(folder: str | Path) -> Subject:
    """Reads what a folder tells of a model.

    Args:
        folder: A run folder, with its export where it has one, or the folder of an export.

    Raises:
        FileNotFoundError: It is neither.
        ValueError: A file in it is damaged.
    """
    folder = Path(folder)
    if (folder / "export.json").is_file():
        return _of_export(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"A run folder holds config.json, the folder of an export export.json. Received: {folder} without either"
        )
    run = Run.open(folder)
    pipeline, model = run.config.pipeline, run.config.model
    exported = run.folder / EXPORT
    export = _export(exported) if (exported / "export.json").is_file() else {}
    return Subject(
        name=run.folder.resolve().name,
        network=model.name,
        class_names=tuple(run.class_names),
        image_shape=_shape(run, export),
        interpolation=pipeline.interpolation,
        central_crop=pipeline.central_crop,
        config=run.config,
        data=run.read_json("data.json"),
        evaluations={path.name: _evaluation(path) for path in _evaluations(run.folder)},
        metrics=run.read_json("metrics.json"),
        calibration=run.read_json("calibration.json"),
        environment=run.read_json("environment.json"),
        export=export,
        export_folder=EXPORT if export else "",
        proof=_proof(exported) if export else {},
        origin=origin_of(run.config),
        began_with=shown(model.weights),
        license=_license(run.folder / CARD),
    )


def shown(text: str) -> str:
    """What is said of data or of a file: of a path its last part alone.

    Several sources that are joined by commas stay so; names of hubs, tags and words are no paths.
    """

    def part(specification: str) -> str:
        kind, colon, place = specification.partition(":")
        if len(kind) == 1 or not colon:  # a drive of Windows is no kind
            kind, colon, place = "", "", specification
        is_path = _PATH.match(place) or kind in ("folder", "csv", "tfrecord", "array") or Path(place).exists()
        last = re.split(r"[\\/]", place.rstrip("\\/"))[-1]
        return f"{kind}{colon}{last}" if place and is_path else specification

    return ",".join(part(piece) for piece in text.split(","))


def _of_export(folder: Path) -> Subject:
    manifest = _export(folder)
    height, width, channels = manifest["input"]["shape"][1:]
    from keras_inception.tflite import Export

    opened = Export.open(folder)
    if opened.output == "embedding":
        raise ValueError(f"A card is of a network that tells classes. Received: {folder}, which answers an embedding")
    resolved = folder.resolve()
    return Subject(
        name=resolved.parent.name if resolved.name == EXPORT else resolved.name,
        network=_known(manifest["model"]),
        class_names=opened.class_names,
        image_shape=(height, width, channels),
        interpolation=manifest["interpolation"],
        central_crop=manifest["central_crop"],
        export=manifest,
        proof=_proof(folder),
        license=_license(folder / CARD),
    )


def _license(card: Path) -> str:
    """The licence that a card says; empty where there is none, or another text in its place."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return ""
    try:
        text = card.read_text("utf-8")
        data = ModelCard(text, ignore_metadata_errors=True).data if text.startswith("---") else None
    except Exception:  # YAML, and what stands in it, fail in many ways; it is another's text
        return ""
    return str((data and (data.get("license_name") or data.get("license"))) or "")


def _export(folder: Path) -> dict[str, Any]:
    from keras_inception.tflite import Export

    return Export.open(folder).manifest


def _proof(folder: Path) -> dict[str, Any]:
    return read_json(folder / PROOF) if (folder / PROOF).is_file() else {}


def _evaluations(folder: Path) -> list[Path]:
    return sorted(folder.glob("evaluation*.json"), key=lambda path: (path.name != MAIN_EVALUATION, path.name))


def _evaluation(path: Path) -> Evaluation:
    content = read_json(path)
    try:
        return Evaluation.from_dict(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} must be as evaluate wrote it. Received: {path} ({error})") from error


def _shape(run: Run, export: Mapping[str, Any]) -> tuple[int, int, int]:
    """Of a run whose network has its published size, that size; the export knows, or the registry."""
    model = run.config.model
    if export:
        height, width, channels = export["input"]["shape"][1:]
        return height, width, channels
    from keras_inception import get_entry

    size = model.image_size or get_entry(model.name).input_size
    return size, size, model.channels


def origin_of(config: TrainConfig) -> WeightSet | None:
    """The weights that a run began with, where they are released ones or a file that says so."""
    from keras_inception.weights.fitting import Request, resolve

    if not config.model.weights:
        return None
    model = config.model
    arguments = {
        "input_shape": (model.image_size, model.image_size, model.channels),
        **model.options,
        **({} if model.alpha == 1 else {"alpha": model.alpha}),
    }
    try:
        found = resolve(
            Request(
                source=model.weights,
                network=model.name,
                arguments=arguments,
                trunk_only=True,
                accept_license=True,  # it was, by whoever trained
            )
        )
    except (ValueError, OSError):  # a file that is no longer there, or options that say more than the catalogue does
        return None
    return found.weight_set


def _known(name: str) -> str:
    from keras_inception import list_models

    return name if name in list_models() else ""
