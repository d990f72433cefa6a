"""The front matter of a card: what the hub reads of a model, in its own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from keras_inception.hub.subject import Subject
from keras_inception.tflite.folder import ONNX, SAVED_MODEL
from keras_inception.weights import WeightSet

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

LIBRARY, TASK = "keras-inception", "image-classification"
_HUB_URL = re.compile(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/")
# The hub's words for licences are SPDX's in small letters; of others it wants the name apart. https://hf.co/docs/hub/repositories-licenses
_LICENCES = (
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "cc0-1.0", "cc-by-3.0",
    "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0",
    "agpl-3.0", "lgpl-2.1", "lgpl-3.0", "mpl-2.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "isc", "unlicense", "wtfpl",
    "zlib", "openrail", "unknown", "other",
)  # fmt: skip


def front_matter(subject: Subject, license: str) -> ModelCardData:  # noqa: A002 (the hub's word)
    """What the hub shall know of a model.

    Args:
        subject: The model.
        license: Under which it is given; empty: it is not said.
    """
    from huggingface_hub import ModelCardData

    results = _results(subject)
    base = base_model(subject.origin)
    return ModelCardData(
        library_name=LIBRARY,
        pipeline_tag=TASK,
        tags=_tags(subject),
        base_model=base,
        datasets=[name] if (name := _hub_dataset(subject)) else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=subject.name if results else None,
        eval_results=results or None,
        **_license(license),
    )


def base_model(origin: WeightSet | None) -> str | None:
    """The hub's name of the weights that a model began with; None where they do not lie there."""
    found = _HUB_URL.match(origin.url) if origin else None
    return found[1] if found else None


def license_of(subject: Subject) -> str:
    """Under which a model is given where nothing else is said: as its card or export says, or as the weights were."""
    said = subject.license or str(subject.export.get("about", {}).get("licence", ""))
    return said or (subject.origin.licence if subject.origin else "")


def _license(license: str) -> dict[str, str]:  # noqa: A002
    if not license:
        return {}
    known = license.lower()
    return {"license": known} if known in _LICENCES else {"license": "other", "license_name": known.replace(" ", "-")}


def _tags(subject: Subject) -> list[str]:
    modes = {row["mode"] for row in subject.export.get("files", ())}
    tags = [LIBRARY, "keras", *([subject.network] if subject.network else [])]
    tags += ["litert", "tflite"] * bool(modes - {SAVED_MODEL, ONNX})
    return tags + [ONNX] * (ONNX in modes)


def _hub_dataset(subject: Subject) -> str:
    """Name of the hub's data set that a model was trained on; empty: it was another's."""
    kind, _, place = str(subject.data.get("data", "")).partition(":")
    name = place.partition(":")[0]
    is_name = kind == "hf" and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and subject.source.startswith(f"hf:{name}")
    return name if is_name else ""


def _results(subject: Subject) -> list[EvalResult]:
    """The figures of the run's test images."""
    evaluation = subject.evaluation
    if evaluation is None:
        return []
    from huggingface_hub import EvalResult

    name = _hub_dataset(subject)
    source = str(subject.data.get("test_data") or "") and _shown_test(subject)
    common: dict[str, Any] = {
        "task_type": TASK,
        "dataset_type": name or _kind(subject),
        "dataset_name": source or subject.source or "test images",
        "dataset_split": evaluation.data,
    }
    if evaluation.labels is not None:
        figures = {
            "mean_average_precision": ("Mean average precision", evaluation.labels.mean_average_precision),
            "f1": ("F1, mean of the classes", evaluation.labels.mean_f1),
        }
        return [
            EvalResult(**common, metric_type=kind, metric_name=n, metric_value=v) for kind, (n, v) in figures.items()
        ]
    rows = [("Accuracy", evaluation.accuracy)]
    rows += [("Top-5 accuracy", evaluation.top5)] if evaluation.top5 is not None else []
    return [EvalResult(**common, metric_type="accuracy", metric_name=name, metric_value=value) for name, value in rows]


def _kind(subject: Subject) -> str:
    """The hub's word for data that is none of its own, else ours."""
    kind = str(subject.data.get("data", "")).partition(":")[0]
    return "imagefolder" if kind in ("folder", "csv", "") else kind


def _shown_test(subject: Subject) -> str:
    from keras_inception.hub.subject import shown

    return shown(str(subject.data["test_data"]))
