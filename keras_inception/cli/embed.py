"""The sub-command embed: pictures in, their vectors in one file."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import UNSAID, Json, TheModel, by_default
from keras_inception.cli.common import need_tensorflow
from keras_inception.cli.data import Data


def embed(
    data: Data,
    /,
    model: Annotated[str, arg(metavar="MODEL")],
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE.npz")],
    end_point: Annotated[str | None, by_default("what the classifier reads", "NAME")] = None,
    said: TheModel = UNSAID,
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
        said: What the model does not say itself.
        overwrite: Replace a file of other vectors, or one that was begun.
        json: Print JSON instead of lines.
    """
    need_tensorflow()
    from keras_inception import photos
    from keras_inception.handles import open_model

    opened = open_model(model, **dataclasses.asdict(said))
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
