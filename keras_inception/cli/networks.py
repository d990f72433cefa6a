"""The sub-commands about networks and their released weights; they run on any backend."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

import keras_inception as ki
from keras_inception.cli import tables
from keras_inception.cli.arguments import Json, Name, Options, by_default
from keras_inception.cli.tables import print_json

if TYPE_CHECKING:
    import keras

    from keras_inception.weights import WeightSet

PREDICTION_BATCH = 16

ImageSize = Annotated[int | None, by_default("the network's own", "PIXELS")]
BuilderOptions = Annotated[Options | None, by_default("none", "KEY=VALUE ...")]
Output = Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
Source = Positional[Annotated[str, arg(metavar="TAG|FILE")]]


def models(json: Json = False) -> None:
    """List the networks: size, cost, accuracy and paper.

    Args:
        json: Print JSON instead of a table.
    """
    entries = [ki.get_entry(name) for name in ki.list_models()]
    if json:
        print_json([{**vars(entry), "aux_heads": dict(entry.aux_heads)} for entry in entries])
    else:
        tables.show_models(entries)


def summary(
    name: Name,
    /,
    image_size: ImageSize = None,
    channels: int = 3,
    classes: int = 1000,
    aux_heads: FlagCreatePairsOff[bool] = False,
    options: BuilderOptions = None,
    json: Json = False,
) -> None:
    """Print a network block by block: output shape, weights, multiply-adds.

    Args:
        name: Registry id of the network, such as inception_v1.
        image_size: Height and width of the input in pixels.
        channels: Colour channels of the input.
        classes: Number of classes.
        aux_heads: Include the auxiliary classifiers.
        options: Further keywords of the network's builder, such as variant=paper naive=true.
        json: Print JSON instead of a table.
    """
    model = _build(name, image_size, channels, classes, aux_heads, options)
    from keras_inception.graph import block_table

    rows = block_table(model)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        shape = "x".join(map(str, model.input_shape[1:]))
        tables.show_blocks(f"{name} at {shape}", rows)


def plot(
    name: Name,
    /,
    output: Output,
    image_size: ImageSize = None,
    channels: int = 3,
    classes: int = 1000,
    aux_heads: FlagCreatePairsOff[bool] = False,
    options: BuilderOptions = None,
) -> None:
    """Draw a network as blocks into an SVG file.

    Args:
        name: Registry id of the network, such as inception_v1.
        output: The SVG file to write.
        image_size: Height and width of the input in pixels.
        channels: Colour channels of the input.
        classes: Number of classes.
        aux_heads: Include the auxiliary classifiers.
        options: Further keywords of the network's builder, such as variant=paper naive=true.
    """
    if output.suffix != ".svg":
        raise ValueError(f"The drawing is an SVG file, whose name ends in .svg. Received: {output}")
    model = _build(name, image_size, channels, classes, aux_heads, options)
    from keras_inception.plot import plot as draw

    tables.show_lines(("picture", draw(model, output)))


def weights(
    model: Annotated[str | None, by_default("all networks", "NAME")] = None,
    json: Json = False,
) -> None:
    """List the released weight sets: network, accuracy, licence.

    Args:
        model: Only those of one network.
        json: Print JSON instead of a table.
    """
    from keras_inception.weights import list_weights

    sets = list_weights(model)
    if json:
        print_json([{**vars(weight_set), "arguments": dict(weight_set.arguments)} for weight_set in sets])
    else:
        tables.show_weights(sets)


def convert(
    source: Source,
    /,
    output: Output,
    to: Annotated[Literal["safetensors", "h5"] | None, by_default("told by FILE's ending", "FORMAT")] = None,
    model: Annotated[str, by_default("told by the weights", "NAME")] = "",
    options: BuilderOptions = None,
    labels: Annotated[Path | None, by_default("those of the source", "FILE")] = None,
    accept_license: FlagCreatePairsOff[bool] = False,
) -> None:
    """Read weights of any known source and write them as a file of ours, with names and origin in it.

    Args:
        source: Weight set, as `keras-inception weights` lists them, or a weights file.
        output: The file to write.
        to: Format of the file.
        model: Network of a file that does not tell its own.
        options: Further keywords of the network's builder, such as alpha=0.5 include_top=false.
        labels: Text file with the name of a class in each line.
        accept_license: Accept a licence that forbids commercial use.
    """
    from keras_inception import weights as package

    names = labels.read_text("utf-8").splitlines() if labels else ()
    arguments: dict[str, Any] = dict(options or {})
    written = package.convert(
        source, output, to, network=model, labels=names, accept_license=accept_license, **arguments
    )
    tables.show_lines(("weights", written))


def predict_with_weights(
    files: Sequence[Path], name: str | None, source: str | None, options: Options, accept_license: bool, top: int
) -> list[dict[str, Any]]:
    """The likeliest ImageNet classes of pictures, by a network with released weights and their preprocessing."""
    import keras
    import numpy as np

    from keras_inception import weights as package
    from keras_inception.preprocessing import get_preprocessing

    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"An image file must exist. Received: {file}")
    keywords: dict[str, Any] = dict(options)
    model, found = package.build(source or "imagenet", network=name or "", accept_license=accept_license, **keywords)
    preprocessing = found.preprocessing or get_preprocessing(name or "")
    channels_first = keras.config.image_data_format() == "channels_first"
    height = model.input_shape[2 if channels_first else 1]
    predictions = []
    for start in range(0, len(files), PREDICTION_BATCH):
        batch = files[start : start + PREDICTION_BATCH]
        pixels = np.stack([package.read_picture(file, preprocessing, preprocessing.size or height) for file in batch])
        inputs = ki.preprocess_input(pixels, preprocessing)
        outputs = model.predict_on_batch(inputs.transpose(0, 3, 1, 2) if channels_first else inputs)
        probabilities = outputs["predictions"] if isinstance(outputs, dict) else outputs
        classes = probabilities.shape[1]
        predictions += ki.decode_predictions(probabilities, min(top, classes), _class_names(found.weight_set, classes))
    return tables.prediction_rows(files, predictions)


def _class_names(known: "WeightSet | None", classes: int) -> Sequence[str] | None:
    """Names of the classes: the weights' own, else ImageNet's for as many classes, else their numbers."""
    if known is not None and known.labels:
        return known.labels
    from keras_inception.labels import imagenet_classes

    return None if classes == len(imagenet_classes()) else [str(index) for index in range(classes)]


def _build(
    name: str, image_size: int | None, channels: int, classes: int, aux_heads: bool, options: Options | None
) -> "keras.Model":
    from keras_inception.layers import image_shape

    size = ki.get_entry(name).input_size if image_size is None else image_size
    shape = {"input_shape": image_shape(size, channels), "classes": classes}
    return ki.create_model(name, **shape, **({"aux_heads": True} if aux_heads else {}), **(options or {}))
