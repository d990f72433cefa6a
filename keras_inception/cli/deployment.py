"""The sub-commands about exported files: write them, time them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import (
    UNSAID,
    Handle,
    Json,
    Mode,
    ModelOptions,
    MoreHandles,
    Options,
    TheModel,
    by_default,
)
from keras_inception.cli.common import command, need_tensorflow
from keras_inception.cli.tables import print_json
from keras_inception.cli.verification import (
    AccuracyLoss,
    Agreement,
    Cosine,
    Difference,
    KnownAgreement,
    LabelAgreement,
    PrecisionLoss,
    QuantizedCosine,
    limits_of,
    place_of,
    proof_images,
)
from keras_inception.photos.shipping import CALIBRATION_IMAGES, PROOF_IMAGES, export_model

if TYPE_CHECKING:
    from keras_inception.handles import OpenedModel


def export(
    model: Handle,
    /,
    said: TheModel = UNSAID,
    output: Annotated[
        Path | None, arg(aliases=["-o"], metavar="FOLDER", help_behavior_hint="(default: RUN/export; MODEL-export)")
    ] = None,
    head: Literal["probabilities", "logits", "embedding"] = "probabilities",
    modes: Annotated[
        tuple[Mode, ...] | None, by_default("float32 int8; int8 of a run that quantised", "MODE ...")
    ] = None,
    saved_model: bool = True,
    onnx: FlagCreatePairsOff[bool] = False,
    unfamiliar: bool = True,
    score_threshold: Annotated[float | None, by_default("none", "{0.9,0.95,0.99}")] = None,
    learning: Annotated[
        Literal["float32", "float16", "dynamic"] | None, by_default("none", "{float32,float16,dynamic}")
    ] = None,
    batch: int = 1,
    int8_probabilities: FlagCreatePairsOff[bool] = False,
    calibration: Annotated[str, arg(metavar="DATA|COUNT")] = str(CALIBRATION_IMAGES),
    calibration_seed: int = 0,
    known: Annotated[str | None, by_default("the run's own pictures", "DATA")] = None,
    rounding: Literal["compensated", "nearest"] = "compensated",
    about: Annotated[Options | None, by_default("none", "KEY=VALUE ...")] = None,
    prove: FlagCreatePairsOff[bool] = False,
    data: Annotated[str | None, by_default("the run's test images", "DATA")] = None,
    selective: FlagCreatePairsOff[bool] = False,
    accelerators: FlagCreatePairsOff[bool] = False,
    difference: Difference = None,
    agreement: Agreement = None,
    accuracy_loss: AccuracyLoss = None,
    label_agreement: LabelAgreement = None,
    precision_loss: PrecisionLoss = None,
    cosine: Cosine = None,
    quantized_cosine: QuantizedCosine = None,
    known_agreement: KnownAgreement = None,
    overwrite: FlagCreatePairsOff[bool] = False,
) -> None:
    """Write a trained network for phones and servers: TFLite files, SavedModel, labels; pixels in, probabilities out.

    Args:
        model: A run folder, the name of a network, or a .keras file of anyone.
        said: What the model does not say itself.
        output: Folder to write.
        head: What the files answer; an embedding is what the classifier reads, a vector of length 1, without labels.
        modes: TFLite files to write.
        saved_model: Write the SavedModel as well.
        onnx: Write an ONNX file as well.
        unfamiliar: Let the files tell pictures unlike all that the network knows, where there are images enough.
        score_threshold: Let mediapipe name classes alone whose probability keeps this coverage.
        learning: Write a TFLite file whose classifier an app can train, with its trunk stored so.
        batch: Images a call of the TFLite files; 0 accepts any number.
        int8_probabilities: Compute the last softmax or sigmoid of the int8 file in integers as well, for NPUs that
            know no floats.
        calibration: What the integer files are calibrated on: how many of the run's training images, or data such as
            folder:PATH, of which as many are taken.
        calibration_seed: Seed of their choice.
        known: Of other models than runs: labelled pictures of their classes, of which no held-out one trained them, so
            that the files keep a coverage and tell strangers.
        rounding: How integer files round weights: so that errors cancel on those images, or each to the nearest step.
        about: What the files say of themselves: version, licence, author, description, name.
        prove: Hold the files against the network on real images first, and write none where a limit is passed.
        data: What --prove takes, such as folder:PATH; labels count where their classes are the model's.
        selective: With --prove, leave the layers that cost most float where int8 passes a limit.
        accelerators: With --prove, run the files on all that this machine has as well; see verify.
        difference: Largest difference of a probability in float32 files.
        agreement: Smallest share of images with the same first class; of several labels an image, of the decisions at
            the thresholds in integer files.
        accuracy_loss: Largest loss of accuracy, as a share of the images.
        label_agreement: Of several labels, smallest share of such decisions in the other files.
        precision_loss: Of several labels, largest loss of mean average precision.
        cosine: Of an embedding, smallest cosine of an image's vector with the network's.
        quantized_cosine: Likewise in integer files.
        known_agreement: Smallest share of images on which the same ones are strangers.
        overwrite: Replace an earlier export.
    """
    need_tensorflow()
    from keras_inception.handles import open_model
    from keras_inception.tflite.exporting import default_modes

    if batch < 0:
        raise ValueError(f"--batch must be at least 0. Received: {batch}")
    if selective and not prove:
        raise ValueError("--selective needs --prove, whose limits it keeps. Received: --selective alone")
    if accelerators and not prove:
        raise ValueError("--accelerators is what --prove runs the files on. Received: --accelerators alone")
    if data is not None and not prove:
        raise ValueError(f"--data is what --prove takes. Received: --data {data} alone")
    opened = open_model(model, **dataclasses.asdict(said))
    chosen = modes or default_modes(opened.keras_model("An export"))
    exported = export_model(
        opened,
        output or place_of(opened),
        calibration=_calibration(opened, calibration, calibration_seed, chosen),
        output=head,
        modes=chosen,
        saved_model=saved_model,
        onnx=onnx,
        known=known,
        unfamiliar=unfamiliar,
        score_threshold=score_threshold,
        learning=learning,
        batch=batch or None,
        int8_probabilities=int8_probabilities,
        rounding=rounding,
        about=_about(about or {}),
        proof=proof_images(opened, data, "test", PROOF_IMAGES) if prove else None,
        limits=limits_of(
            difference,
            agreement,
            accuracy_loss,
            label_agreement,
            precision_loss,
            cosine,
            quantized_cosine,
            known_agreement,
        ),
        selective=selective,
        accelerators=accelerators,
        overwrite=overwrite,
    )
    tables.show_files(exported.folder, exported.manifest["files"])
    place = () if output is None and opened.run else ("--folder", exported.folder)
    more = () if opened.run else ("--data", "folder:PATH")
    next_command = command("verify", model, *place, *more)
    tables.show_lines(("proof", exported.folder / "proof.json") if prove else ("next", next_command))


def benchmark(
    model: Handle,
    more: MoreHandles = (),
    /,
    said: TheModel = UNSAID,
    vs: Annotated[str | None, by_default("none", "MODEL")] = None,
    batch: int = 1,
    threads: Annotated[int | None, by_default("as many as cores", "INT")] = None,
    runs: int = 50,
    adb: Annotated[Path | None, by_default("none", "BENCHMARK_MODEL")] = None,
    serial: Annotated[str | None, by_default("the only phone", "SERIAL")] = None,
    json: Json = False,
) -> None:
    """Time exports, Keras models and other files against one another, in turns.

    Args:
        model: A .tflite, .onnx or .keras file, a SavedModel folder, a run folder or the name of a network.
        more: Further ones.
        said: What the models do not say themselves.
        vs: One more, which the others are compared with.
        batch: Images a call; files written for one image a call run once an image.
        threads: Threads of LiteRT.
        runs: Timed rounds.
        adb: Time the .tflite files on an Android phone as well, by this file, LiteRT's benchmark_model for it.
        serial: Of the phone, where adb reaches several.
        json: Print JSON instead of a table.
    """
    need_tensorflow()
    from keras_inception import tflite

    if serial is not None and adb is None:
        raise ValueError(f"--serial names a phone for --adb. Received: {serial} without")

    contestants = _contestants([model, *more, *([vs] if vs else [])], said)
    rows = tflite.benchmark(contestants, vs=vs, batch=batch, threads=threads, runs=runs)
    phone = []
    if adb is not None:
        files = [place for place in contestants.values() if isinstance(place, Path) and place.suffix == ".tflite"]
        if not files:
            raise ValueError(f"--adb times .tflite files. Received: {', '.join(contestants)}")
        phone = tflite.benchmark_on_phone(files, adb, serial=serial, threads=threads or 1, runs=runs)
    if json:
        print_json([*map(dataclasses.asdict, rows), *map(dataclasses.asdict, phone)])
    else:
        tables.show_timings([*rows, *(found.timing for found in phone)])
        tables.show_phone(phone)


def _contestants(handles: Sequence[str], said: ModelOptions) -> dict[str, Any]:
    """What is timed, by its handle: files as they are; runs and names stand for their networks."""
    from keras_inception.handles.hub import local
    from keras_inception.handles.opening import open_models

    places = {handle: Path(local(handle)) for handle in handles}
    paths: dict[str, Any] = {handle: place for handle, place in places.items() if _is_file(place)}
    others = [handle for handle in dict.fromkeys(handles) if handle not in paths]
    if not others and said != UNSAID:
        raise ValueError(f"What is timed as it is has no options. Received: options beside {', '.join(handles)}")
    opened = open_models(others, **dataclasses.asdict(said)) if others else iter(())
    networks = {model.handle: model.network for model in opened}
    return {handle: networks.get(handle, paths.get(handle)) for handle in handles}


def _is_file(path: Path) -> bool:
    """Whether a path is timed as it is."""
    return path.suffix in (".tflite", ".onnx", ".keras") or (path / "saved_model.pb").is_file()


def _calibration(model: "OpenedModel", asked: str, seed: int, modes: Sequence[str]) -> Any:
    """Images for the integer files; none where no file needs any."""
    from keras_inception.handles.images import some_of
    from keras_inception.tflite.files.modes import MODES

    count = int(asked) if asked.isdecimal() else CALIBRATION_IMAGES
    if not asked.isdecimal():
        return some_of(model, asked, count, seed)
    if model.run is not None:
        return model.run.batches("train", count=count, seed=seed)
    if any(MODES[mode].calibrated for mode in modes):
        raise ValueError(
            "--calibration names real pictures for integer files, such as folder:PATH; or leave those files out with "
            f"--modes float32. Received: {', '.join(modes)} of {model.handle} without any"
        )
    return None


def _about(values: Options) -> Any:
    from keras_inception import tflite

    known = [field.name for field in dataclasses.fields(tflite.About)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"--about takes {', '.join(known)}. Received: {', '.join(unknown)}")
    return tflite.About(**{name: str(value) for name, value in values.items()})
