"""A model's card: README.md, with front matter for the hub and text for people, from what was measured alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_inception.hub.front_matter import front_matter, license_of
from keras_inception.hub.handle import SCHEME
from keras_inception.hub.limits import limits, percent
from keras_inception.hub.subject import CARD, Subject, shown
from keras_inception.tflite.folder import LEARNING, ONNX, SAVED_MODEL
from keras_inception.training import Evaluation
from keras_inception.training.files import write_text

TEMPLATE = "card.md.jinja"
CLASSES_SHOWN = 40
"""Rows of the table of classes; of more the weakest are shown."""
SOMEWHERE = "USER/NAME"
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~$])")
_SHIPPED = (
    "int8",
    "dynamic",
    "float16",
    "float32",
    "int16x8",
)  # which file an app is shown to ship, the first there is


def card(subject: Subject, *, repository: str = "", license: str = "") -> str:  # noqa: A002 (the hub's word)
    """Writes a card as text.

    Args:
        subject: The model.
        repository: `USER/NAME` where it lies on the hub; empty: it is not known yet.
        license: Under which the model is given, in SPDX's words; empty: as the card in its folder or its export
            says, or as the weights that it began with were given.

    Returns:
        Markdown with YAML front matter. What was not measured has no place in it.
    """
    from jinja2 import UndefinedError

    try:
        call = f'"{SCHEME}{repository or SOMEWHERE}"' if repository or not subject.call else subject.call
        return _rendered(subject, call, license or license_of(subject))
    except (UndefinedError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"What a card tells must be in its folder as it was written. Received: {subject.name} ({error})"
        ) from error


def _rendered(subject: Subject, call: str, given: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("keras_inception.hub"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown: `md` escapes what is text
    )
    environment.filters |= {"md": escaped, "percent": percent, "shown": shown}
    text = environment.get_template(TEMPLATE).render(
        front_matter=front_matter(subject, given).to_yaml(),
        subject=subject,
        entry=_entry(subject.network),
        license=given,
        figures=[row for found in subject.evaluations.values() for row in _figures(found)],
        classes=_classes(subject.evaluation),
        more_classes=max(0, len(subject.class_names) - CLASSES_SHOWN),
        files=_files(subject),
        shipped=_shipped(subject),
        limits=limits(subject),
        call=call,
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def write_card(
    subject: Subject,
    path: str | Path,
    *,
    repository: str = "",
    license: str = "",  # noqa: A002
    overwrite: bool = False,
) -> Path:
    """Writes a card, whole or not at all.

    Args:
        subject: The model.
        path: The file, such as README.md; or a folder, which gets one.
        repository: As in `card`.
        license: As in `card`.
        overwrite: Whether a file that is there may be replaced.

    Returns:
        The file.

    Raises:
        FileExistsError: The file is there, and must not be replaced.
        FileNotFoundError: There is no folder for it.
    """
    file = Path(path)
    file = file / CARD if file.is_dir() else file
    if file.exists() and not overwrite:
        raise FileExistsError(f"A card must be a new file, or overwrite be set. Received: {file}")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"The folder of a card must exist. Received: {file.parent}")
    write_text(file, card(subject, repository=repository, license=license))
    return file


def escaped(text: Any) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def _entry(network: str) -> Any:
    from keras_inception import get_entry

    return get_entry(network) if network else None


def _figures(found: Evaluation) -> list[dict[str, Any]]:
    """Rows of the table of results: what was evaluated, and each figure of it."""
    data = shown(found.data) + (f", {found.crops} crops" if found.crops > 1 else "")
    data += f", mean of {len(found.runs)} networks" if found.runs else ""
    data += f", without {len(found.without)} things" if found.without else ""
    rows: list[tuple[str, str]] = []
    if found.labels is not None:
        rows += [("mean average precision", percent(found.labels.mean_average_precision))]
        rows += [("F1, mean of the labels", percent(found.labels.mean_f1))]
        rows += [("decisions right", percent(found.accuracy))]
    else:
        rows += [("accuracy", percent(found.accuracy))]
        rows += [("top-5 accuracy", percent(found.top5))] if found.top5 is not None else []
    rows += [("cross-entropy", f"{found.loss:.3f}"), ("calibration error", percent(found.calibration.error))]
    return [{"data": data, "images": found.images, "figure": name, "value": value} for name, value in rows]


def _classes(found: Evaluation | None) -> list[tuple[str, int | None, float]]:
    """Rows of the table of classes: name, test images and the share of them that is recognised; the weakest first."""
    if found is None:
        return []
    images: Mapping[str, int | None]
    if found.labels is not None:
        images = {name: row.images for name, row in found.labels.by_class.items()}
    else:
        images = {name: sum(row) for name, row in zip(found.per_class, found.confusion, strict=False)}
    rows = [(name, images.get(name), share) for name, share in found.per_class.items() if share is not None]
    return sorted(rows, key=lambda row: row[2])[:CLASSES_SHOWN]


def _files(subject: Subject) -> list[dict[str, Any]]:
    """Rows of the table of files: what the export says of each, and what the proof measured of it."""
    proven = {row["file"]: row for row in subject.proof.get("rows", ())}
    return [{**row, "proven": proven.get(row["file"])} for row in subject.export.get("files", ())]


def _shipped(subject: Subject) -> str:
    """The .tflite file that an app is shown to ship; empty without one that takes one picture a call."""
    by_mode = {
        row["mode"]: row["file"]
        for row in subject.export.get("files", ())
        if row["mode"] not in (SAVED_MODEL, ONNX, LEARNING)
    }
    fixed = subject.export.get("input", {}).get("shape", [None])[0] == 1
    return next((by_mode[mode] for mode in _SHIPPED if mode in by_mode), "") if fixed else ""
