"""The sub-command embed: pictures in, their vectors in one file."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import Json, Options, by_default
from keras_inception.cli.common import need_tensorflow
from keras_inception.cli.data import Data


def embed(
    data: Data,
    /,
    model: Annotated[str, arg(metavar="MODEL")],
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE.npz")],
    end_point: Annotated[str | None, by_default("what the classifier reads", "NAME")] = None,
    weights: Annotated[str | None, by_default("imagenet", "TAG|FILE")] = None,
    options: Annotated[Options | None, by_default("none", "KEY=VALUE ...")] = None,
    preprocessing: Annotated[str | None, by_default("what is inside", "NAME")] = None,
    interpolation: Annotated[str | None, by_default("the model's own", "NAME")] = None,
    central_crop: Annotated[float | None, by_default("the model's own", "SHARE")] = None,
    accept_license: FlagCreatePairsOff[bool] = False,
    overwrite: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> None:
    """Turn pictures into vectors of length 1: those of like pictures point the same way. Called again, it goes on.

    The file holds names, splits, labels, class_names, vectors and about; numpy.load reads it.

    Args:
        data: Folder of pictures, with a sub-folder a class or without; a CSV file; or data in the words of train's
            --data.
        model: Run folder, network, .keras file, or an export, .tflite or .onnx file of --head embedding.
        output: File to write.
        end_point: Block or layer whose output is taken instead, maps pooled, as summary lists them.
        weights: Of a network by name: a released weight set, or a weights file.
        options: Of a network: further keywords of its builder, such as alpha=0.5.
        preprocessing: Of a .keras file without one inside: what pixels need first, such as inception or none.
        interpolation: How pictures are resized.
        central_crop: Share of a picture's shorter side that is kept.
        accept_license: Accept a licence that forbids commercial use.
        overwrite: Replace a file of other vectors, or one that was begun.
        json: Print JSON instead of lines.
    """
    need_tensorflow()
    import keras_inception as ki
    from keras_inception import photos

    opened = ki.open_model(
        model, weights=weights, options=options, preprocessing=preprocessing, interpolation=interpolation,
        central_crop=central_crop, accept_license=accept_license,
    )  # fmt: skip
    made = photos.embed(data, opened, output, end_point=end_point, overwrite=overwrite)
    for bad in made.left_out:
        print(f"keras-inception: left out {bad.path}: {bad.reason}", file=sys.stderr)
    if json:
        told = {"file": str(made.file), "pictures": made.pictures, "features": made.features}
        tables.print_json(told | {"left_out": len(made.left_out), "about": dict(made.about)})
        return
    tables.show_lines(
        ("pictures", f"{made.pictures:,}"),
        ("vectors", f"{made.features:,} numbers each, of {made.about['end_point']}"),
        ("file", made.file),
    )
