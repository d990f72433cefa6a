"""Every container that the project reads: how a small valid one is made, and how it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import exports, training, weights
from mutations.mutators import Mutator, any_bytes, csv_cells, gzip_content, hdf5_items, json_values, zip_members

_BY_SUFFIX: dict[str, tuple[Mutator, ...]] = {
    ".json": (json_values, any_bytes), ".csv": (csv_cells, any_bytes), ".gz": (any_bytes, gzip_content),
    ".h5": (any_bytes, any_bytes, hdf5_items), ".keras": (any_bytes, zip_members), ".zip": (any_bytes, zip_members),
    ".npz": (any_bytes, zip_members),
}  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A container.

    Attributes:
        name: Its name.
        make: Writes a valid one into a folder.
        read: Reads it; what it returns, compared by ==, is what was in it.
        checksum: Whether it has one over all that is read of it. Where it has none, a flipped bit inside raw numbers
            cannot be noticed.
        apart: Whether reading it may kill the process.
        without_tensorflow: Whether reading it needs none.
        kept_whole: Files of the folder that are not damaged.
    """

    name: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    checksum: bool = False
    apart: bool = False
    without_tensorflow: bool = False
    kept_whole: tuple[str, ...] = ()

    def mutators(self, name: str) -> tuple[Mutator, ...]:
        """The ways to damage one of its files."""
        return () if name in self.kept_whole else _BY_SUFFIX.get(Path(name).suffix, (any_bytes,))


_CONTAINERS = (
    Container(
        "ours.safetensors", weights.make_own("model.safetensors"), weights.read_weights("model.safetensors"),
        checksum=True,
    ),
    Container("ours.h5", weights.make_own("model.h5"), weights.read_weights("model.h5"), checksum=True),
    Container("keras.weights.h5", weights.make_keras, weights.read_weights("model.weights.h5")),
    Container("legacy.h5", weights.make_legacy, weights.read_weights("model.h5")),
    Container("weights of .keras", weights.make_model, weights.read_weights("model.keras"), checksum=True),
    Container("foreign safetensors", weights.make_timm, weights.read_weights("model.safetensors")),
    Container("caffemodel", weights.make_caffemodel, weights.read_weights("model.caffemodel", weights.caffe)),
    Container("zip", weights.make_archive("model.zip"), weights.read_weights("model.zip"), checksum=True),
    Container("tar", weights.make_archive("model.tar"), weights.read_weights("model.tar")),
    Container("tar.gz", weights.make_archive("model.tar.gz"), weights.read_weights("model.tar.gz"), checksum=True),
    Container("checkpoint v1", weights.make_slim(True), weights.read_weights("model.ckpt"), checksum=True),
    Container("checkpoint v2", weights.make_slim(False), weights.read_weights("model.ckpt"), checksum=True),
    Container("arrays.npz", training.make_arrays, training.read_data("array", "data.npz"), checksum=True),
    Container(
        "packed index", training.make_packed, training.read_data("tfrecord", "packed"),
        kept_whole=("packed/examples.csv", "packed/train-00000.tfrecord"),
    ),
    Container(
        "packed shards", training.make_packed, training.read_data("tfrecord", "packed"),
        checksum=True, kept_whole=("packed/index.json",),
    ),
    Container("run files", training.make_run, training.read_run),
    Container(
        "best.keras of a run", training.make_best, training.read_best,
        checksum=True, kept_whole=("run/config.json", "run/class_names.txt"),
    ),
    Container("state of a run", training.make_state, training.read_state, checksum=True),
    Container("JPEG", training.make_picture("picture.jpg", exif=training.ON_ITS_SIDE), training.read_picture),
    Container("PNG", training.make_picture("picture.png"), training.read_picture),
    Container("GIF", training.make_picture("picture.gif"), training.read_picture),
    Container("BMP", training.make_picture("picture.bmp"), training.read_picture),
    Container("WebP", training.make_picture("picture.webp"), training.read_picture),
    Container(".tflite", exports.make_tflite, exports.read_tflite, checksum=True, apart=True, without_tensorflow=True),
    Container("export folder", exports.make_export, exports.read_export),
)  # fmt: skip
CONTAINERS = {container.name: container for container in _CONTAINERS}
