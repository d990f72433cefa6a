"""The sub-command app: a small whole project around one file of an export, and a web kit's page on this machine."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import Mode, by_default
from keras_inception.cli.common import command, need_tensorflow
from keras_inception.cli.verification import EXPORT

if TYPE_CHECKING:
    from keras_inception.apps import Kit
    from keras_inception.tflite import Export

RunOrExport = Positional[Annotated[Path, arg(metavar="RUN|EXPORT")]]
Platform = Annotated[Literal["web", "python", "cpp", "android", "ios"], arg(name="for")]
LOCALHOST = "127.0.0.1"

_FIRST_STEPS = {
    "web": "npm ci",
    "python": "pip install -r requirements.txt; python -m unittest",
    "cpp": "cmake -B build && cmake --build build && ctest --test-dir build",
    "android": "gradle connectedCheck",
    "ios": "open Package.swift",
}


def app(
    source: RunOrExport,
    /,
    platform: Platform,
    output: Annotated[
        Path | None, arg(aliases=["-o"], metavar="FOLDER", help_behavior_hint="(default: RUN/app-web; EXPORT-app-web)")
    ] = None,
    mode: Annotated[Mode | None, by_default("int8, else the smallest", "MODE")] = None,
    data: Annotated[str | None, by_default("the run's test images", "DATA")] = None,
    serve: FlagCreatePairsOff[bool] = False,
    host: Annotated[str, arg(metavar="ADDRESS")] = LOCALHOST,
    port: int = 8000,
) -> None:
    """Write a small whole project around one exported file, with a test that holds it against what was proven.

    Args:
        source: Run folder, with the export in it, or the folder of an export.
        platform: What the project is for.
        output: New folder to write.
        mode: Which of the .tflite files it is built around.
        data: Where the pictures of its test come from, such as folder:PATH; at most 16 are taken.
        serve: Of web, show the page on this machine; a folder that was written before is shown as it is.
        host: With --serve, the address to listen on; any other than this lets other machines see the page.
        port: With --serve, its port.
    """
    if not serve and (host != LOCALHOST or port != 8000):
        raise ValueError(f"--host and --port are of --serve. Received: {host}, {port} without it")
    if serve and platform != "web":
        raise ValueError(f"--serve shows a page: --for web. Received: --for {platform}")
    need_tensorflow()
    from keras_inception.apps import Kit, write_app
    from keras_inception.apps.golden import PICTURES
    from keras_inception.handles import open_model
    from keras_inception.handles.images import whole_pictures

    export, is_run = _export(source)
    folder = output or (source / f"app-{platform}" if is_run else Path(f"{source.resolve().name}-app-{platform}"))
    kit = Kit.of(export, mode, source.resolve().name)
    if serve and _is_app(folder):
        if not _is_of(folder, kit):
            raise ValueError(f"A page that is served again is of the same file. Received: {folder}, of another one")
    else:
        pictures = whole_pictures(open_model(str(source)), data, PICTURES)
        write_app(kit, platform, folder, pictures)
        tables.show_lines(
            ("app", folder),
            ("around", f"{kit.file.name}, {kit.file.stat().st_size / 1e6:.1f} MB"),
            (
                "next",
                command("app", source, "--for", "web", "--serve") if platform == "web" else _FIRST_STEPS[platform],
            ),
        )
    if serve:
        _serve(folder, host, port)


def _export(source: Path) -> tuple["Export", bool]:
    """The export that is meant, and whether it is a run's."""
    from keras_inception.tflite import Export
    from keras_inception.tflite.folder import MANIFEST

    if (source / MANIFEST).is_file():
        return Export.open(source), False
    if not (source / "config.json").is_file():
        raise FileNotFoundError(
            f"An app is made of a run folder with its export, or of an export. Received: {source}, which is neither"
        )
    if not (source / EXPORT / MANIFEST).is_file():
        raise FileNotFoundError(
            f"A run is exported before an app is made of it: {command('export', source)}. Received: {source} without"
        )
    return Export.open(source / EXPORT), True


def _is_app(folder: Path) -> bool:
    from keras_inception.apps.kit import DESCRIPTION

    return (folder / DESCRIPTION).is_file()


def _is_of(folder: Path, kit: "Kit") -> bool:
    from keras_inception.apps.kit import DESCRIPTION

    try:
        return json.loads((folder / DESCRIPTION).read_text("utf-8"))["sha256"] == kit.description["sha256"]
    except (ValueError, KeyError, TypeError):
        return False


def _serve(folder: Path, host: str, port: int) -> None:
    """Shows a web kit until it is interrupted."""
    from keras_inception.apps.serving import server

    with server(folder, host, port) as serving:
        _install(folder)
        if host != LOCALHOST:
            print(
                f"keras-inception: {host} is seen by other machines: whoever reaches it reads the files of {folder}.",
                file=sys.stderr,
            )
        shown = f"[{host}]" if ":" in host else host
        tables.show_lines(
            ("page", f"http://{shown}:{serving.server_port}/"),
            ("test", f"http://{shown}:{serving.server_port}/test.html"),
            (
                "phone",
                f"adb reverse tcp:{serving.server_port} tcp:{serving.server_port}, then the page above on the phone",
            ),
            ("stop", "Ctrl-C"),
        )
        serving.serve_forever()


def _install(folder: Path) -> None:
    """Brings what the page imports, as its lock file names it, unless it is there."""
    if (folder / "node_modules" / "@litertjs" / "core").is_dir():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(f"The page needs npm's packages (npm ci in {folder}). Received: a machine without npm")
    tables.show_lines(("npm ci", folder))
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise ValueError(f"npm ci must succeed in {folder}. Received: {last}")
