"""The sub-command that holds exported files against the network, and what `export --prove` shares with it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff

from keras_inception.cli import tables
from keras_inception.cli.arguments import UNSAID, Handle, Json, Split, TheModel, by_default
from keras_inception.cli.common import need_tensorflow
from keras_inception.photos.shipping import PROOF_IMAGES

if TYPE_CHECKING:
    from keras_inception.handles import OpenedModel
    from keras_inception.tflite import Limits

EXPORT = "export"

Difference = Annotated[float | None, by_default("1e-4", "SHARE")]
Agreement = Annotated[float | None, by_default("0.98", "SHARE")]
AccuracyLoss = Annotated[float | None, by_default("0.02", "SHARE")]
LabelAgreement = Annotated[float | None, by_default("0.999", "SHARE")]
PrecisionLoss = Annotated[float | None, by_default("0.02", "SHARE")]
Cosine = Annotated[float | None, by_default("0.999", "COSINE")]
QuantizedCosine = Annotated[float | None, by_default("0.98", "COSINE")]
KnownAgreement = Annotated[float | None, by_default("0.95", "SHARE")]


def verify(
    model: Handle,
    /,
    said: TheModel = UNSAID,
    folder: Annotated[Path | None, by_default("RUN/export", "FOLDER")] = None,
    data: Annotated[str | None, by_default("the run's own", "DATA")] = None,
    split: Split = "test",
    images: int = PROOF_IMAGES,
    strangers: Annotated[str | None, by_default("none", "DATA")] = None,
    difference: Difference = None,
    agreement: Agreement = None,
    accuracy_loss: AccuracyLoss = None,
    label_agreement: LabelAgreement = None,
    precision_loss: PrecisionLoss = None,
    cosine: Cosine = None,
    quantized_cosine: QuantizedCosine = None,
    known_agreement: KnownAgreement = None,
    accelerators: FlagCreatePairsOff[bool] = False,
    layers: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> int:
    """Hold exports against the trained network on real images; exit with 1 where a limit is passed.

    Args:
        model: What was exported: a run folder, the name of a network, or a .keras file.
        said: What the model does not say itself.
        folder: Folder of the export.
        data: Other images than the run's, such as folder:PATH; labels count where their classes are the model's.
        split: Which of the run's images.
        images: How many of them at most, chosen by a fixed seed.
        strangers: Images of nothing that the network knows, such as folder:PATH, of which at most as many are taken.
        difference: Largest difference of a probability in float32 files.
        agreement: Smallest share of images with the same first class; of several labels an image, of the decisions at
            the thresholds in integer files.
        accuracy_loss: Largest loss of accuracy, as a share of the images.
        label_agreement: Of several labels, smallest share of such decisions in the other files.
        precision_loss: Of several labels, largest loss of mean average precision.
        cosine: Of an embedding, smallest cosine of an image's vector with the network's.
        quantized_cosine: Likewise in integer files.
        known_agreement: Smallest share of images on which the same ones are strangers.
        accelerators: Run the .tflite and .onnx files on all that this machine has as well: LiteRT's kernels one by one,
            its GPU backend, OpenVINO; what is lacking says what would bring it.
        layers: Compare every layer of the .tflite files with the network's as well, name the worst, and write
            FOLDER-layers: a table, a picture, and overlays that Model Explorer opens over the files.
        json: Print JSON instead of a table.
    """
    need_tensorflow()
    from keras_inception import tflite
    from keras_inception.handles import open_model

    limits = limits_of(
        difference, agreement, accuracy_loss, label_agreement, precision_loss, cosine, quantized_cosine, known_agreement
    )
    opened = open_model(model, **dataclasses.asdict(said))
    network, place = opened.keras_model("A proof"), folder or place_of(opened)
    batches = proof_images(opened, data, split, images)
    others = None if strangers is None else proof_images(opened, strangers, split, images)
    found = tflite.layer_errors(network, place, proof_images(opened, data, split, images)) if layers else None
    proof = tflite.verify(
        network, place, batches, strangers=others, limits=limits, accelerators=accelerators, layers=found
    )
    written = [] if found is None else found.write(place.with_name(f"{place.name}-layers"))
    if json:
        print(proof.to_json(), end="")
    else:
        tables.show_proof(proof)
        if found is not None:
            tables.show_layers(found, written)
    return 0 if proof.passed else 1


def place_of(model: "OpenedModel") -> Path:
    """Where a model's export is by default."""
    from keras_inception.handles.hub import is_of_hub

    if model.run is not None and not is_of_hub(model.handle):
        return model.run.folder / EXPORT
    return Path(f"{Path(model.handle).stem}-{EXPORT}")


def proof_images(model: "OpenedModel", data: str | None, split: str, count: int) -> Any:
    """Real images to hold files against the network on."""
    from keras_inception.handles.images import some_of

    if data is not None:
        return some_of(model, data, count)
    if model.run is None:
        raise ValueError(f"--data names real images for the proof, such as folder:PATH. Received: {model.handle} alone")
    return model.run.batches(split, count=count)


def limits_of(
    difference: float | None,
    agreement: float | None,
    accuracy_loss: float | None,
    label_agreement: float | None,
    precision_loss: float | None,
    cosine: float | None,
    quantized_cosine: float | None,
    known_agreement: float | None,
) -> "Limits":
    """The limits that a command line names, and the usual ones for the others."""
    from keras_inception import tflite

    given = {
        "difference": difference, "agreement": agreement, "accuracy_loss": accuracy_loss,
        "label_agreement": label_agreement, "precision_loss": precision_loss, "cosine": cosine,
        "quantized_cosine": quantized_cosine, "known_agreement": known_agreement,
    }  # fmt: skip
    return tflite.Limits(**{name: value for name, value in given.items() if value is not None})
