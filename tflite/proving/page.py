"""proof.html: a proof on one page, readable offline, light or dark as its reader is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ..folder import Export
from .differing import Differing
from .layers import Layers
from .limits import KERAS, Proof

_LARGEST = 192  # pixels of a picture's longer side


def page(
    proof: Proof,
    export: Export,
    differences: Mapping[str, tuple[int, list[Differing]]],
    layers: Layers | None = None,
) -> str:
    """Writes a proof as HTML.

    Args:
        proof: What was measured.
        export: Of which export.
        differences: By file, how many pictures differ, and some of them.
        layers: What was found of the layers, where they were looked at.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(__package__), PackageLoader("keras_inception")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"uri": _uri, "percent": _percent, "megabytes": _megabytes}
    names = export.class_names
    return environment.get_template("proof.html.jinja").render(
        proof=proof,
        title=export.manifest.get("about", {}).get("name") or export.manifest.get("model", ""),
        network=export.manifest.get("model", "a network"),
        accelerators=proof.accelerators,
        output=export.output,
        thresholds=export.thresholds,
        provenance=_provenance(proof, export.manifest),
        rows=proof.rows,
        files=[row for row in proof.rows if row.mode != KERAS],
        sums={row["file"]: row["sha256"] for row in export.manifest["files"]},
        slowest=max((row.latency_high_ms for row in proof.rows), default=0) or 1,
        largest=max((row.size for row in proof.rows), default=0) or 1,
        levels=list(dict.fromkeys(level for row in proof.rows if row.trusted for level in row.trusted.coverage)),
        differences=differences,
        layers=layers,
        name_of=lambda index: names[index] if index < len(names) else str(index),
        tiny=max(export.input_shape[:2]) <= 64,
    )


def _provenance(proof: Proof, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the files come from and how they were proven, as far as the export says it."""
    told: dict[str, Any] = {**manifest.get("about", {}), "network": manifest.get("model")}
    told |= {"exported": manifest.get("created")}
    told |= {f"exported with {package}": version for package, version in manifest.get("versions", {}).items()}
    told |= {f"proven on {what}": value for what, value in proof.machine.items()}
    shape = " × ".join("any" if side is None else str(side) for side in manifest["input"]["shape"])
    told |= {"input": f"{shape}, {manifest['input'].get('dtype', '')}"}
    told |= {"pictures resized": manifest["interpolation"], "shorter side kept": _percent(manifest["central_crop"], 1)}
    told |= {"preprocessing added": manifest.get("preprocessing") or "none"}
    told |= {"calibrated on": f"{manifest.get('calibration_images', 0):,} images", "rounding": manifest.get("rounding")}
    told |= {f"limit: {name.replace('_', ' ')}": value for name, value in asdict(proof.limits).items()}
    return [(name, str(value)) for name, value in told.items() if value not in (None, "")]


def _uri(pixels: np.ndarray) -> str:
    """A picture as a data URI: PNG where it is small, else JPEG."""
    import tensorflow as tf

    longest = max(pixels.shape[:2])
    if longest <= _LARGEST // 3:
        return "data:image/png;base64," + base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()
    if longest > _LARGEST:
        size = [max(1, round(side * _LARGEST / longest)) for side in pixels.shape[:2]]
        pixels = tf.saturate_cast(tf.round(tf.image.resize(pixels, size, antialias=True)), tf.uint8)
    return "data:image/jpeg;base64," + base64.b64encode(tf.io.encode_jpeg(pixels, quality=85).numpy()).decode()


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
