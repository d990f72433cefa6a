"""What a proof consists of: the limits that exported files are held to, and what was measured of each file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keras_inception.processors import cores
from keras_inception.showing import html_of

from ..errors import ExportError
from ..folder import ONNX, SAVED_MODEL
from ..running.places import GPU
from .rehearsed import Rehearsal

if TYPE_CHECKING:
    from rich.table import Table

KERAS = "keras"
SCHEMA = 1  # of proof.json: another number where a field goes or means another thing; new fields come without one
_EXACT = ("float32", SAVED_MODEL, ONNX)


@dataclass(frozen=True)
class Limits:
    """What an exported file may differ from the float32 network by; None: no limit.

    Attributes:
        difference: Largest absolute difference of a probability in float32 files and the SavedModel.
        float16_difference: Likewise in float16 files (and of a network trained in 16 bits from its float32 twin).
        quantized_difference: Likewise in dynamic, int8 and int16x8 files.
        agreement: Smallest share of the images on which a file's first class is the network's; of sigmoids, on which
            the classes above one half are. Where classes have thresholds of their own, of the decisions, a class of an
            image each, in quantised files.
        accuracy_loss: Largest accuracy that a file may lose, as a share of the labelled images, or of such decisions.
        label_agreement: Smallest share of such decisions in which a float file or the SavedModel agrees.
        precision_loss: Largest mean average precision that a file may lose where classes have thresholds.
        cosine: Of files that answer an embedding, in place of agreement and accuracy: smallest cosine of an image's
            vector with the network's, in float files and the SavedModel.
        quantized_cosine: Likewise in dynamic, int8 and int16x8 files.
        known_agreement: Smallest share of the images, strangers too, on which a file takes the same ones for known.
    """

    difference: float | None = 1e-4
    float16_difference: float | None = 2e-2
    quantized_difference: float | None = None
    agreement: float | None = 0.98
    accuracy_loss: float | None = 0.02
    label_agreement: float | None = 0.999
    precision_loss: float | None = 0.02
    cosine: float | None = 0.999
    quantized_cosine: float | None = 0.98
    known_agreement: float | None = 0.95

    def __post_init__(self) -> None:
        if self.agreement is not None and not 0 <= self.agreement <= 1:
            raise ExportError(f"The agreement is a share of the images, 0 to 1. Received: {self.agreement}.")
        if self.accuracy_loss is not None and not -1 <= self.accuracy_loss <= 1:
            raise ExportError(f"The accuracy loss is a share of the images, 1 at most. Received: {self.accuracy_loss}.")
        if self.label_agreement is not None and not 0 <= self.label_agreement <= 1:
            raise ExportError(f"The agreement on labels is a share of them, 0 to 1. Received: {self.label_agreement}.")
        if self.precision_loss is not None and not -1 <= self.precision_loss <= 1:
            raise ExportError(f"The loss of precision is a share, 1 at most. Received: {self.precision_loss}.")
        if self.known_agreement is not None and not 0 <= self.known_agreement <= 1:
            raise ExportError(f"The agreement on who is known is a share, 0 to 1. Received: {self.known_agreement}.")

        for cosine in (self.cosine, self.quantized_cosine):
            if cosine is not None and not -1 <= cosine <= 1:
                raise ExportError(f"A cosine is a number from -1 to 1. Received: {cosine}.")

    def cosine_of(self, mode: str) -> float | None:
        """The limit on the smallest cosine that holds for a row."""
        return self.cosine if mode in (*_EXACT, "float16", KERAS) else self.quantized_cosine

    def agreement_of(self, mode: str, *, by_label: bool = False) -> float | None:
        """The limit on agreement that holds for a row, where decisions count one by one or not."""
        return self.label_agreement if by_label and mode in (*_EXACT, "float16", KERAS) else self.agreement

    def difference_of(self, mode: str, precision: str = "") -> float | None:
        """The limit on the largest difference that holds for a row."""
        if mode in _EXACT or (mode == KERAS and precision == "float32"):
            return self.difference
        return self.float16_difference if mode in ("float16", KERAS) else self.quantized_difference


@dataclass(frozen=True)
class Trusted:
    """What a file keeps of what the export promises; None is what could not be measured.

    Attributes:
        coverage: By level, the share of the labelled images whose class is among the candidates.
        calibration_error: Expected calibration error on the labelled images, over 15 bins.
        uncalibrated_error: The same without the temperature; None where there is none.
        difference: Largest difference of `unfamiliar` from Keras.
        agreement: Share of all images, strangers too, that are known to both or to neither.
        turned_away: Share of the proof's images that the file takes for strangers.
        let_in: Share of the strangers that it takes for known.
    """

    coverage: dict[str, float] = field(default_factory=dict)
    calibration_error: float | None = None
    uncalibrated_error: float | None = None
    difference: float | None = None
    agreement: float | None = None
    turned_away: float | None = None
    let_in: float | None = None


@dataclass(frozen=True)
class Row:
    """What was measured of one file, or of the Keras model itself (mode `"keras"`).

    Attributes:
        mode: `"keras"`, `"saved_model"` or the TFLite mode.
        file: Name inside the export; empty for the Keras model.
        precision: The Keras model's compute dtype; empty for files.
        size: In bytes; for the Keras model, of its weights.
        difference: Largest absolute difference of an output from the float32 twin in Keras.
        agreement: Share of the images on which its first class is the twin's. Where the network ends in sigmoids, on
            which the same classes lie above one half (of the one logit of a single output, above 0), and where none
            does, the same class comes first. Where classes have thresholds of their own, share of the decisions, a
            class of an image each, that are the twin's.
        top5_agreement: Share of the images on which the twin's first class is among its first five; of a single
            output, the agreement.
        accuracy: Share of the labelled images that it gets right, of labels [n, classes] every class; None where labels
            are unknown. Where classes have thresholds, share of the decisions that are right.
        latency_ms: Median milliseconds for one image, interleaved with the other rows.
        latency_low_ms: Tenth percentile.
        latency_high_ms: Ninetieth percentile.
        threads: Threads that it was allowed.
        operators: TFLite operators and how often each occurs.
        custom_operators: Those that are not TFLite builtins.
        static_shapes: Whether the batch size is fixed, as GPU and NPU delegates want it; None where it does not apply.
        gpu_blockers: TFLite operators that the GPU delegate would leave to the CPU.
        float_operators: TFLite operators that compute in float and how often each occurs.
        mean_average_precision: Where classes have thresholds; of the labels, or of what the twin finds where labels are
            unknown.
        cosine: Of an embedding, in place of agreement and accuracy: mean over the images of the cosine of its vector
            and the twin's.
        smallest_cosine: The smallest of them.
        trusted: How far its answers can be trusted, where the export says so.
    """

    mode: str
    file: str
    precision: str
    size: int
    difference: float
    agreement: float | None
    top5_agreement: float | None
    accuracy: float | None
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    threads: int
    operators: dict[str, int] = field(default_factory=dict)
    custom_operators: tuple[str, ...] = ()
    static_shapes: bool | None = None
    gpu_blockers: tuple[str, ...] = ()
    float_operators: dict[str, int] = field(default_factory=dict)
    mean_average_precision: float | None = None
    cosine: float | None = None
    smallest_cosine: float | None = None
    trusted: Trusted | None = None

    @property
    def delegates(self) -> tuple[str, ...]:
        """Which delegates can take the whole file: `"GPU"` needs known operators, `"NPU"` integers only."""
        if not self.static_shapes:
            return ()
        ready = {"GPU": not self.gpu_blockers, "NPU": not self.float_operators}
        return tuple(name for name, is_ready in ready.items() if is_ready)


@dataclass(frozen=True)
class Proof:
    """The result of `verify`.

    Attributes:
        folder: The export.
        rows: One for the Keras model and one for each file that could be opened.
        failures: One sentence for each limit passed and each file that is missing or broken.
        images: Number of images compared.
        limits: The limits that were held.
        machine: Processor and versions.
        accelerators: Where else the files ran; None where that was not asked.
    """

    folder: Path
    rows: tuple[Row, ...]
    failures: tuple[str, ...]
    images: int
    limits: Limits
    machine: dict[str, str]
    accelerators: Rehearsal | None = None

    @property
    def passed(self) -> bool:
        """Whether every file is there, whole and within the limits."""
        return not self.failures

    def to_json(self) -> str:
        """The proof as JSON, as it stands in proof.json."""
        content = {"schema": SCHEMA, "passed": self.passed, **asdict(self), "folder": self.folder.name}
        return json.dumps(content, indent=2) + "\n"

    def table(self) -> Table:
        """The proof as a table for a terminal."""
        from rich.table import Table

        threads = max((row.threads for row in self.rows), default=cores())
        table = Table(title=f"{self.images} images, {threads} thread{'s' if threads > 1 else ''}, one image a call")
        cells: dict[str, list[str]] = {
            "file": [row.file or f"Keras ({row.precision})" for row in self.rows],
            "size": [f"{row.size / 1e6:.2f} MB" for row in self.rows],
            "mAP": [_share(row.mean_average_precision) for row in self.rows],
            "accuracy": [_share(row.accuracy) for row in self.rows],
            "agreement": [_share(row.agreement) for row in self.rows],
            "cosine": [_cosine(row.cosine) for row in self.rows],
            "smallest": [_cosine(row.smallest_cosine) for row in self.rows],
            "difference": [f"{row.difference:.1e}" for row in self.rows],
            "latency": [f"{row.latency_ms:.2f} ms" for row in self.rows],
            "whole on": [self._whole_on(row) for row in self.rows],
        }
        is_embedding = any(row.cosine is not None for row in self.rows)
        left_out = {"accuracy", "agreement"} if is_embedding else {"cosine", "smallest"}
        if not any(row.mean_average_precision is not None for row in self.rows):
            left_out.add("mAP")
        shown = {heading: column for heading, column in cells.items() if heading not in left_out}
        for heading in shown:
            table.add_column(heading, justify="left" if heading == "file" else "right", no_wrap=True)
        for row in zip(*shown.values(), strict=True):
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        where, promises = self.accelerators, self.promises()
        parts = [html_of(self.table(), self.failures), html_of(promises) if promises else ""]
        return "".join([*parts, where._repr_html_() if where else ""])

    def _whole_on(self, row: Row) -> str:
        """Accelerators that take a file whole: the GPU as it ran, where it did, and others as operators are listed."""
        ran = None if self.accelerators is None else self.accelerators.whole(row.file, GPU)
        listed = [name for name in row.delegates if name != "GPU" or ran is None]
        words = ["GPU ran"] if ran else []
        return ", ".join([*words, *([f"{' '.join(listed)} listed"] if listed else [])])

    def promises(self) -> Table | None:
        """What is kept of coverage, calibration and the limit for strangers; None where nothing was promised."""
        from rich.table import Table

        told = [row for row in self.rows if row.trusted is not None]
        if not told:
            return None
        levels = dict.fromkeys(level for row in told if row.trusted for level in row.trusted.coverage)
        table = Table(title="what is kept of what was promised")
        shares = [f"covers {float(level):.0%}" for level in levels]
        for heading in ("file", *shares, "calibration error", "turned away", "let in"):
            table.add_column(heading, justify="left" if heading == "file" else "right", no_wrap=True)
        for row in told:
            if (trusted := row.trusted) is not None:
                errors = (trusted.uncalibrated_error, trusted.calibration_error)
                table.add_row(
                    row.file or f"Keras ({row.precision})",
                    *(_percent(trusted.coverage.get(level)) for level in levels),
                    " → ".join(_percent(error) for error in errors if error is not None) or "–",
                    _percent(trusted.turned_away),
                    _percent(trusted.let_in),
                )
        return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _cosine(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
