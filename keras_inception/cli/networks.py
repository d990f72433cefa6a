"""The sub-commands about networks and their released weights; they run on any backend."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

import keras_inception as ki
from keras_inception.cli import tables
from keras_inception.cli.arguments import UNSAID, Handle, Json, ModelOptions, Options, TheModel, by_default
from keras_inception.cli.tables import print_json

if TYPE_CHECKING:
    import keras


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
    model: Handle,
    /,
    said: TheModel = UNSAID,
    image_size: ImageSize = None,
    channels: int = 3,
    classes: int = 1000,
    aux_heads: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> None:
    """Print a network block by block: output shape, weights, multiply-adds.

    Args:
        model: The name of a network, such as inception_v1; a run folder or a .keras file.
        said: What the model does not say itself; without weights, a network by name is built new.
        image_size: Height and width of the input in pixels.
        channels: Colour channels of the input.
        classes: Number of classes.
        aux_heads: Include the auxiliary classifiers.
        json: Print JSON instead of a table.
    """
    network = _network(model, said, image_size, channels, classes, aux_heads)
    from keras_inception.graph import block_table

    rows = block_table(network)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        shape = "x".join(map(str, network.input_shape[1:]))
        tables.show_blocks(f"{model} at {shape}", rows)


def plot(
    model: Handle,
    /,
    output: Output,
    said: TheModel = UNSAID,
    image_size: ImageSize = None,
    channels: int = 3,
    classes: int = 1000,
    aux_heads: FlagCreatePairsOff[bool] = False,
    blocks: Annotated[tuple[str, ...] | None, by_default("all", "NAME ...")] = None,
    dark: FlagCreatePairsOff[bool] = False,
) -> None:
    """Draw a network as blocks into an SVG file.

    Args:
        model: The name of a network, such as inception_v1; a run folder or a .keras file.
        said: What the model does not say itself; without weights, a network by name is built new.
        output: The SVG file to write.
        image_size: Height and width of the input in pixels.
        channels: Colour channels of the input.
        classes: Number of classes.
        aux_heads: Include the auxiliary classifiers.
        blocks: Draw these blocks alone.
        dark: Light lines on a dark ground.
    """
    if output.suffix != ".svg":
        raise ValueError(f"The drawing is an SVG file, whose name ends in .svg. Received: {output}")
    network = _network(model, said, image_size, channels, classes, aux_heads)
    from keras_inception.plot import plot as draw

    tables.show_lines(("picture", draw(network, output, blocks=blocks, dark=dark)))


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


def _network(
    handle: str, said: ModelOptions, image_size: int | None, channels: int, classes: int, aux_heads: bool
) -> "keras.Model":
    """A network by name, built new; or the one of any other model."""
    by_name = handle in (*ki.list_models(), "inception_cell") and said.weights is None
    if not by_name:
        from keras_inception.handles import open_model

        if (image_size, channels, classes, aux_heads) != (None, 3, 1000, False):
            raise ValueError(
                "--image-size, --channels, --classes and --aux-heads are for networks that are built new. "
                f"Received: one of them beside {handle}"
            )
        return open_model(handle, **dataclasses.asdict(said)).keras_model("A table or drawing")
    if said != ModelOptions(options=said.options):
        raise ValueError(
            f"A network that is built new takes --options alone of these. Received: {said} beside {handle}"
        )
    from keras_inception.layers import image_shape

    size = ki.get_entry(handle).input_size if image_size is None else image_size
    shape = {"input_shape": image_shape(size, channels), "classes": classes}
    return ki.create_model(handle, **shape, **({"aux_heads": True} if aux_heads else {}), **(said.options or {}))
