"""The sub-commands about exported files: write them, hold them against the network, time them."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff

from keras_inception.cli import tables
from keras_inception.cli.arguments import File, Files, Json, Mode, Options, RunFolder, Split, by_default
from keras_inception.cli.common import command, need_tensorflow
from keras_inception.cli.tables import print_json
from keras_inception.photos.shipping import CALIBRATION_IMAGES, PROOF_IMAGES, export_run

if TYPE_CHECKING:
    from keras_inception.tflite import Limits

EXPORT = "export"

Difference = Annotated[float | None, by_default("1e-4", "SHARE")]
Agreement = Annotated[float | None, by_default("0.98", "SHARE")]
AccuracyLoss = Annotated[float | None, by_default("0.02", "SHARE")]
LabelAgreement = Annotated[float | None, by_default("0.999", "SHARE")]
PrecisionLoss = Annotated[float | None, by_default("0.02", "SHARE")]


def export(
    run: RunFolder,
    /,
    output: Annotated[Path | None, by_default("RUN/export", "FOLDER")] = None,
    modes: tuple[Mode, ...] = ("float32", "int8"),
    saved_model: bool = True,
    onnx: FlagCreatePairsOff[bool] = False,
    learning: Annotated[
        Literal["float32", "float16", "dynamic"] | None, by_default("none", "{float32,float16,dynamic}")
    ] = None,
    batch: int = 1,
    calibration: int = CALIBRATION_IMAGES,
    calibration_seed: int = 0,
    rounding: Literal["compensated", "nearest"] = "compensated",
    about: Annotated[Options | None, by_default("none", "KEY=VALUE ...")] = None,
    prove: FlagCreatePairsOff[bool] = False,
    selective: FlagCreatePairsOff[bool] = False,
    difference: Difference = None,
    agreement: Agreement = None,
    accuracy_loss: AccuracyLoss = None,
    label_agreement: LabelAgreement = None,
    precision_loss: PrecisionLoss = None,
    overwrite: FlagCreatePairsOff[bool] = False,
) -> None:
    """Write a trained network for phones and servers: TFLite files, SavedModel, labels; pixels in, probabilities out.

    Args:
        run: Run folder, as train leaves it.
        output: Folder to write.
        modes: TFLite files to write.
        saved_model: Write the SavedModel as well.
        onnx: Write an ONNX file as well.
        learning: Write a TFLite file whose classifier an app can train, with its trunk stored so.
        batch: Images a call of the TFLite files; 0 accepts any number.
        calibration: How many training images the integer files are calibrated on.
        calibration_seed: Seed of their choice.
        rounding: How integer files round weights: so that errors cancel on those images, or each to the nearest step.
        about: What the files say of themselves: version, licence, author, description, name.
        prove: Hold the files against the network on its test images first, and write none where a limit is passed.
        selective: With --prove, leave the layers that cost most float where int8 passes a limit.
        difference: Largest difference of a probability in float32 files.
        agreement: Smallest share of images with the same first class; of several labels an image, of the decisions at
            the thresholds in integer files.
        accuracy_loss: Largest loss of accuracy, as a share of the images.
        label_agreement: Of several labels, smallest share of such decisions in the other files.
        precision_loss: Of several labels, largest loss of mean average precision.
        overwrite: Replace an earlier export.
    """
    need_tensorflow()
    from keras_inception import training

    if batch < 0:
        raise ValueError(f"--batch must be at least 0. Received: {batch}")
    if selective and not prove:
        raise ValueError("--selective needs --prove, whose limits it keeps. Received: --selective alone")
    opened = training.Run.open(run)
    exported = export_run(
        opened,
        output or run / EXPORT,
        calibration=opened.batches("train", count=calibration, seed=calibration_seed),
        modes=modes,
        saved_model=saved_model,
        onnx=onnx,
        learning=learning,
        batch=batch or None,
        rounding=rounding,
        about=_about(about or {}),
        proof=opened.batches("test", count=PROOF_IMAGES) if prove else None,
        limits=_limits(difference, agreement, accuracy_loss, label_agreement, precision_loss),
        selective=selective,
        overwrite=overwrite,
    )
    tables.show_files(exported.folder, exported.manifest["files"])
    next_command = command("verify", run, *(("--folder", output) if output else ()))
    tables.show_lines(("proof", exported.folder / "proof.json") if prove else ("next", next_command))


def verify(
    run: RunFolder,
    /,
    folder: Annotated[Path | None, by_default("RUN/export", "FOLDER")] = None,
    split: Split = "test",
    images: int = PROOF_IMAGES,
    difference: Difference = None,
    agreement: Agreement = None,
    accuracy_loss: AccuracyLoss = None,
    label_agreement: LabelAgreement = None,
    precision_loss: PrecisionLoss = None,
    json: Json = False,
) -> int:
    """Hold exports against the trained network on real images; exit with 1 where a limit is passed.

    Args:
        run: Run folder, as train leaves it.
        folder: Folder of the export.
        split: Which of the run's images.
        images: How many of them at most, chosen by a fixed seed.
        difference: Largest difference of a probability in float32 files.
        agreement: Smallest share of images with the same first class; of several labels an image, of the decisions at
            the thresholds in integer files.
        accuracy_loss: Largest loss of accuracy, as a share of the images.
        label_agreement: Of several labels, smallest share of such decisions in the other files.
        precision_loss: Of several labels, largest loss of mean average precision.
        json: Print JSON instead of a table.
    """
    need_tensorflow()
    from keras_inception import tflite, training

    limits = _limits(difference, agreement, accuracy_loss, label_agreement, precision_loss)
    opened = training.Run.open(run)
    batches = opened.batches(split, count=images)
    proof = tflite.verify(opened.model(), folder or run / EXPORT, batches, limits=limits)
    if json:
        print(proof.to_json(), end="")
    else:
        tables.show_proof(proof)
    return 0 if proof.passed else 1


def benchmark(
    file: File,
    files: Files = (),
    /,
    vs: Annotated[Path | None, by_default("none", "FILE")] = None,
    batch: int = 1,
    threads: Annotated[int | None, by_default("as many as cores", "INT")] = None,
    runs: int = 50,
    json: Json = False,
) -> None:
    """Time exports, Keras models and other files against one another, in turns.

    Args:
        file: A .tflite, .onnx or .keras file, a SavedModel folder, or a run folder, which stands for its network.
        files: More of them.
        vs: One more, which the others are compared with.
        batch: Images a call; files written for one image a call run once an image.
        threads: Threads of LiteRT.
        runs: Timed rounds.
        json: Print JSON instead of a table.
    """
    need_tensorflow()
    from keras_inception import tflite

    contestants = _contestants([file, *files, *([vs] if vs else [])])
    rows = tflite.benchmark(contestants, vs=str(vs) if vs else None, batch=batch, threads=threads, runs=runs)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        tables.show_timings(rows)


def _contestants(paths: Iterable[Path]) -> dict[str, Any]:
    """What is timed, by its path: a run folder stands for its network."""
    from keras_inception import training

    is_run = {path: (path / "config.json").is_file() for path in paths}
    return {str(path): training.Run.open(path).model() if run else path for path, run in is_run.items()}


def _limits(
    difference: float | None,
    agreement: float | None,
    accuracy_loss: float | None,
    label_agreement: float | None,
    precision_loss: float | None,
) -> "Limits":
    from keras_inception import tflite

    given = {
        "difference": difference, "agreement": agreement, "accuracy_loss": accuracy_loss,
        "label_agreement": label_agreement, "precision_loss": precision_loss,
    }  # fmt: skip
    return tflite.Limits(**{name: value for name, value in given.items() if value is not None})


def _about(values: Options) -> Any:
    from keras_inception import tflite

    known = [field.name for field in dataclasses.fields(tflite.About)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"--about takes {', '.join(known)}. Received: {', '.join(unknown)}")
    return tflite.About(**{name: str(value) for name, value in values.items()})
