"""From a handle to a model: what it names is looked at, not guessed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras_inception as ki
from keras_inception.handles.hub import is_preset, local, open_preset
from keras_inception.handles.opened import KINDS, Kind, OpenedModel, check_names
from keras_inception.labels import imagenet_classes
from keras_inception.preprocessing import get_preprocessing
from keras_inception.tflite.pictures.fitting import Fitting
from keras_inception.weights.catalogue import has_tag, list_weights
from keras_inception.weights.fitting import IMAGENET

RUN_FILE, EXPORT_FILE = "config.json", "export.json"
_SUFFIXES: dict[str, Kind] = {".keras": "keras", ".tflite": "tflite", ".onnx": "onnx"}
_OPTIONS_OF: dict[str, tuple[Kind, ...]] = {  # which handles an option is for
    "weights": ("network",),
    "options": ("network",),
    "labels": ("network", "keras", "export", "tflite", "onnx"),
    "preprocessing": ("keras",),
    "interpolation": ("network", "keras", "tflite", "onnx"),
    "central_crop": ("network", "keras", "tflite", "onnx"),
}


@dataclass(frozen=True)
class _Wish:
    """What was said beside the handle."""

    weights: str | Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: str | Path | None = None
    preprocessing: str | None = None
    interpolation: str | None = None
    central_crop: float | None = None
    accept_license: bool = False

    def fitting(self, known: Fitting) -> Fitting:
        """How pictures are prepared: as it is known, but for what was said."""
        said = {"interpolation": self.interpolation, "central_crop": self.central_crop}
        return replace(known, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]

    def class_names(self, known: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
        """Names of the classes: those that were given, those that are known, or their indices."""
        if self.labels is None:
            return tuple(map(str, range(classes))) if known is None else known
        if str(self.labels) == "imagenet":
            return check_names([name for _, name in imagenet_classes()], classes, "imagenet")
        path = Path(self.labels).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"--labels names a text file with a class a line, or imagenet. Received: {path}")
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"--labels names a text file in UTF-8. Received: {path}") from None
        return check_names(lines, classes, str(path))


def open_model(
    handle: str | Path,
    *,
    weights: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    labels: str | Path | None = None,
    preprocessing: str | None = None,
    interpolation: str | None = None,
    central_crop: float | None = None,
    accept_license: bool = False,
) -> OpenedModel:
    """Opens whatever can be named as a model.

    Args:
        handle: A run folder; the name of a network, the tag of released weights or a weights file; a `.keras` file of
            anyone, or a folder that KerasHub's `from_preset` reads; the folder of an export; a `.tflite` or `.onnx`
            file of one; or `hf://USER/NAME[@REVISION][/PATH]`, which holds one of these. Nothing that is inside a file
            is run.
        weights: Of a network by name: `"imagenet"`, the tag of a released set or a weights file.
        options: Of a network: further arguments of its builder.
        labels: Text file with the name of a class in each line, or `"imagenet"`; None: what the model says, ImageNet's
            for released weights, or the indices.
        preprocessing: Of a `.keras` file without one inside: what pixels need before it, by its name (as in
            `keras_inception.preprocess_input`); `"none"` where it takes pixels in 0..255 as they are.
        interpolation: How pictures are resized, where the model does not say or another way is wanted.
        central_crop: Share of a picture's shorter side that is kept, likewise.
        accept_license: Accept a licence that forbids commercial use.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is nothing at a path.
        ValueError: The handle names no model, the file is damaged or holds code, or an option is for another kind.
    """
    (opened,) = open_models(
        [handle],
        weights=weights,
        options=options,
        labels=labels,
        preprocessing=preprocessing,
        interpolation=interpolation,
        central_crop=central_crop,
        accept_license=accept_license,
    )
    return opened


def open_models(handles: Sequence[str | Path], **options: Any) -> Iterator[OpenedModel]:
    """Opens several models, one after the other; an option is for those that it fits.

    Args:
        handles: As in `open_model`.
        **options: As in `open_model`.

    Yields:
        Each model. What they are is looked at before the first is opened.

    Raises:
        FileNotFoundError: As in `open_model`.
        ValueError: As in `open_model`; an option fits none of them.
    """
    wish = _Wish(**{name: value for name, value in options.items() if value is not None})
    places = {str(handle): local(str(handle)) for handle in handles}
    kinds = {handle: kind_of(place) for handle, place in places.items()}
    _check_options(kinds, wish)
    return (replace(_OPENERS[kind](places[handle], wish), handle=handle) for handle, kind in kinds.items())


def kind_of(handle: str) -> Kind:
    """What a handle names.

    Raises:
        FileNotFoundError: There is nothing at a path.
        ValueError: It is no name, or what is there is no model.
    """
    path = Path(local(handle)).expanduser()
    if path.is_dir():
        return _kind_of_folder(path)
    if path.is_file():
        if path.suffix in _SUFFIXES:
            return _SUFFIXES[path.suffix]
        from keras_inception.weights.readers import sniff

        if sniff(path):
            return "network"
        raise ValueError(
            "A model is a run folder, the name of a network, a weights file, an export, or a .keras, .tflite or .onnx "
            f"file. Received: {handle}, a file of another kind"
        )
    if has_tag(handle) or _is_network(handle):
        return "network"
    known = [*ki.list_models(), *(weight_set.tag for weight_set in list_weights())]
    close = difflib.get_close_matches(handle.lower(), known, n=1, cutoff=0.6)
    hint = f". Did you mean {close[0]!r}?" if close else ""
    looks_like_a_path = path.suffix or len(path.parts) > 1
    raise (FileNotFoundError if looks_like_a_path else ValueError)(
        "A model is the path of a run, an export or a file, or the name of a network or of released weights. "
        f"Received: {handle!r}, where nothing is{hint}"
    )


def _kind_of_folder(path: Path) -> Kind:
    if (path / EXPORT_FILE).is_file():
        return "export"
    if (path / RUN_FILE).is_file() and (path / "class_names.txt").is_file():
        return "run"
    if is_preset(path):
        return "keras"
    if (path / "saved_model.pb").is_file():
        raise ValueError(f"A SavedModel is opened by the folder of its export. Received: {path}")
    if (path.parent / RUN_FILE).is_file() and path.name == "export":
        raise FileNotFoundError(f"The folder of an export holds {EXPORT_FILE}. Received: {path} without it")
    raise ValueError(
        f"The folder of a run holds {RUN_FILE} and class_names.txt, that of an export {EXPORT_FILE}. "
        f"Received: {path} without them"
    )


def _check_options(kinds: Mapping[str, Kind], wish: _Wish) -> None:
    for option, fitting in _OPTIONS_OF.items():
        if getattr(wish, option) not in (None, {}) and not set(fitting) & set(kinds.values()):
            handle, kind = next(iter(kinds.items()))
            raise ValueError(
                f"--{option.replace('_', '-')} is for {' or '.join(KINDS[one] for one in fitting)}. "
                f"Received: it beside {handle}, {KINDS[kind]}"
            )


def _open_run(handle: str, _: _Wish) -> OpenedModel:
    from keras_inception.training import Run

    run = Run.open(handle)
    network, pipeline, model = run.model(), run.config.pipeline, run.config.model
    return OpenedModel(
        handle=handle,
        kind="run",
        name=model.name,
        class_names=tuple(run.class_names),
        image_shape=(model.image_size, model.image_size, model.channels),
        fitting=Fitting(pipeline.interpolation, pipeline.central_crop),
        network=network,
        path=run.folder,
        run=run,
    )


def _open_network(handle: str, wish: _Wish) -> OpenedModel:
    from keras_inception import weights as package
    from keras_inception.handles.weights_files import network_of

    if _is_network(handle):
        source, network = str(wish.weights or IMAGENET), handle
    elif wish.weights is not None:
        raise ValueError(f"--weights is for the name of a network. Received: it beside {handle}, which names weights")
    else:
        source, network = handle, "" if has_tag(handle) else network_of(handle)
    options = {"include_preprocessing": True, **wish.options}
    model, found = package.build(source, network=network, accept_license=wish.accept_license, **options)
    channels_first = _channels_first()
    shape = model.input_shape[1:]
    height, width, channels = (*shape[1:], shape[0]) if channels_first else shape
    prepared = found.preprocessing or get_preprocessing(found.network)
    classes = int(_main(model).shape[-1])
    known = tuple(found.weight_set.labels) if found.weight_set and found.weight_set.labels else None
    imagenet = tuple(name for _, name in imagenet_classes())
    return OpenedModel(
        handle=handle,
        kind="network",
        name=found.network,
        class_names=wish.class_names(known or (imagenet if classes == len(imagenet) else None), classes),
        image_shape=(height, width, channels),
        fitting=wish.fitting(Fitting(prepared.interpolation, prepared.crop)),
        network=model,
        preprocessing=None if options["include_preprocessing"] else found.network,
        path=found.path,
        weight_set=found.weight_set,
    )


def _open_keras(handle: str, wish: _Wish) -> OpenedModel:
    from keras_inception.handles.keras_files import check_preprocessing, load
    from keras_inception.tflite.network.deploying import check_deployable, predictions

    path = Path(handle).expanduser()
    if path.is_dir():
        opened = open_preset(handle, wish.preprocessing)
        names = wish.class_names(opened.class_names, len(opened.class_names))
        return replace(opened, class_names=names, fitting=wish.fitting(opened.fitting))
    model = load(path)
    check_deployable(model)
    check_preprocessing(handle, model, wish.preprocessing)
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ValueError(f"A network must take pictures of one size, [height, width, channels]. Received: {shape}")
    classes = int(predictions(model, model.outputs).shape[-1])
    return OpenedModel(
        handle=handle,
        kind="keras",
        name=model.name,
        class_names=wish.class_names(None, classes),
        image_shape=shape,
        fitting=wish.fitting(Fitting()),
        network=model,
        preprocessing=wish.preprocessing,
        path=path,
    )


def _open_export(handle: str, wish: _Wish) -> OpenedModel:
    from keras_inception.tflite import Export

    export = Export.open(handle)
    opened = _open_file(handle, wish, source=export)
    return replace(opened, kind="export", name=export.manifest["model"], export=export)


def _open_file(handle: str, wish: _Wish, source: Any = None) -> OpenedModel:
    """A .tflite or .onnx file, or an export."""
    from keras_inception.tflite import Predictor

    path = Path(handle).expanduser()
    known = _listed(path) if source is None else None
    said = {"interpolation": wish.interpolation, "central_crop": wish.central_crop}
    reader = Predictor(
        path if source is None else source,
        **(asdict(wish.fitting(known)) if known else said),
    )
    return OpenedModel(
        handle=handle,
        kind=_SUFFIXES.get(path.suffix, "export"),
        name=path.stem,
        class_names=wish.class_names(reader.class_names, len(reader.class_names)),
        image_shape=reader.image_shape,
        fitting=reader.fitting,
        path=path,
        reader=reader,
    )


def _listed(path: Path) -> Fitting | None:
    """How pictures are prepared for a file that lies in the folder of its export; files alone do not tell."""
    from keras_inception.tflite import Export

    if not (path.parent / EXPORT_FILE).is_file():
        return None
    export = Export.open(path.parent)
    return Fitting(export.manifest["interpolation"], export.manifest["central_crop"])


def _is_network(handle: str) -> bool:
    try:
        ki.get_entry(handle)
    except ValueError:
        return False
    return True


def _main(model: Any) -> Any:
    """The classifier's output; of several, the main one."""
    return model.output["predictions"] if isinstance(model.output, dict) else model.output


def _channels_first() -> bool:
    import keras

    return bool(keras.config.image_data_format() == "channels_first")


_OPENERS = {
    "run": _open_run,
    "network": _open_network,
    "keras": _open_keras,
    "export": _open_export,
    "tflite": _open_file,
    "onnx": _open_file,
}
