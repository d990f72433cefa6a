"""The sub-commands about the hub: write a model's card, and upload a model with it."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import UNSAID, Handle, Json, TheModel, by_default
from keras_inception.cli.common import command, need_tensorflow
from keras_inception.cli.tables import print_json

if TYPE_CHECKING:
    from keras_inception.hub import Subject

Repository = Positional[Annotated[str, arg(metavar="hf://USER/NAME")]]
RunOrExport = Positional[Annotated[Path, arg(metavar="RUN|EXPORT")]]
License = Annotated[str | None, by_default("the export's or the weights' own", "SPDX")]


def card(
    model: Handle,
    /,
    said: TheModel = UNSAID,
    output: Annotated[
        Path | None, arg(aliases=["-o"], metavar="FILE", help_behavior_hint="(default: standard output)")
    ] = None,
    license: License = None,  # noqa: A002 (the hub's word)
    overwrite: FlagCreatePairsOff[bool] = False,
) -> None:
    """Write a model's card: what was measured of it, its limits, how to run it, and front matter for the hub.

    Args:
        model: Run folder, with the export in it; or any other model: folder of an export, name of a network, a .keras,
            .tflite or .onnx file, or hf://USER/NAME.
        said: What the model does not say itself.
        output: File to write, such as README.md.
        license: Under which the model is given, such as Apache-2.0.
        overwrite: Replace a file that is there.
    """
    need_tensorflow()
    from keras_inception import hub

    given = {name: value for name, value in dataclasses.asdict(said).items() if value != getattr(UNSAID, name)}
    subject = _subject(model, given)
    if output is None:
        print(hub.card(subject, repository=_repository(model), license=license or ""), end="")
        return
    written = hub.write_card(subject, output, repository=_repository(model), license=license or "", overwrite=overwrite)
    to_push = () if subject.call else (("next", command("push", model, "hf://USER/NAME")),)
    tables.show_lines(("card", written), *to_push)


def push(
    source: RunOrExport,
    repository: Repository,
    /,
    private: FlagCreatePairsOff[bool] = False,
    license: License = None,  # noqa: A002
    report: FlagCreatePairsOff[bool] = False,
    message: Annotated[str | None, by_default("of the program", "TEXT")] = None,
    dry_run: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> None:
    """Upload a run or an export to the Hugging Face hub, with its card, in one commit.

    No photograph is uploaded, nor its name, nor a path of this machine. The token is that of `hf auth login` or
    HF_TOKEN; HF_ENDPOINT names another hub.

    Args:
        source: Run folder, with the export in it, or the folder of an export.
        repository: Where to; it is created where there is none.
        private: Show a repository that is created to its owner alone.
        license: Under which the model is given, such as Apache-2.0.
        report: Upload report.html, too, with the pictures in it.
        message: Message of the commit.
        dry_run: List what would be uploaded, and upload nothing.
        json: Print JSON instead of a table.
    """
    need_tensorflow()
    from keras_inception.hub.pushing import MESSAGE, plan

    planned = plan(source, repository, license=license or "", report=report)
    if not json:
        tables.show_upload(str(planned.handle), planned.sizes)
    if dry_run:
        if json:
            print_json({"handle": str(planned.handle), "files": planned.sizes})
        return
    pushed = planned.send(private=private, message=message or MESSAGE)
    if json:
        print_json(dataclasses.asdict(pushed))
        return
    tables.show_lines(
        *([("removed", ", ".join(pushed.removed))] if pushed.removed else []),
        ("page", pushed.url),
        ("commit", pushed.revision),
        ("next", command("predict", pushed.handle, "PHOTO.jpg")),
    )


def _repository(model: str) -> str:
    """The repository that a handle names; empty where it names none."""
    from keras_inception.hub.handle import SCHEME, Handle

    return Handle.parse(model).repository if model.startswith(SCHEME) else ""


def _subject(model: str, said: dict[str, Any]) -> "Subject":
    """What is known of a model: a run and an export tell it themselves, of any other what it takes and answers is."""
    from keras_inception import hub
    from keras_inception.handles import open_model
    from keras_inception.handles.hub import local
    from keras_inception.handles.opening import kind_of

    place, name = local(model), _repository(model).rpartition("/")[2]
    if kind_of(place) in ("run", "export") and not said:
        subject = hub.subject_of(Path(place).expanduser())
        return dataclasses.replace(subject, name=name or subject.name)
    opened = open_model(place, **said)
    return hub.Subject(
        name=name or opened.name,
        network=opened.name if opened.kind == "network" else "",
        class_names=opened.class_names,
        image_shape=opened.image_shape,
        interpolation=opened.fitting.interpolation,
        central_crop=opened.fitting.central_crop,
        origin=opened.weight_set,
        call=", ".join([_python(model), *(f"{key}={_python(value)}" for key, value in said.items())]),
    )


def _python(value: Any) -> str:
    """A value as Python writes it, of a path its last part."""
    from keras_inception.hub.subject import shown

    return json_module.dumps(shown(value), ensure_ascii=False) if isinstance(value, str) else repr(value)
