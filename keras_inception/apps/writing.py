"""A kit as a folder: templates filled, the file, its description, golden/."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from keras_inception.apps.golden import EXPECTED, FOLDER, write_golden
from keras_inception.apps.kit import DESCRIPTION, PLATFORMS, Kit
from keras_inception.tflite.atomic import whole_folder

_SUFFIX = ".jinja"
# Where a platform's build looks for what the program reads, and for what its test reads; the folder itself otherwise.
_ASSETS = {"android": "app/src/main/assets", "ios": "Sources/Classifier/Resources"}
_GOLDEN = {"android": "app/src/androidTest/assets", "ios": "Tests/ClassifierTests"}


def write_app(kit: Kit, platform: str, folder: str | Path, pictures: Iterable[np.ndarray]) -> Path:
    """Writes a project, whole or not at all.

    Args:
        kit: The file that it is built around.
        platform: One of `PLATFORMS`.
        folder: A new folder, or an empty one: what a user has built on is never replaced.
        pictures: For its test: uint8 [height, width, channels] each, one at least.

    Returns:
        The folder.

    Raises:
        ExportError: The folder holds something, or the file is not as it was written.
        ValueError: The platform is none of ours, or there are no pictures.
    """
    if platform not in PLATFORMS:
        raise ValueError(f"The platform must be one of {', '.join(PLATFORMS)}. Received: {platform}")
    source = kit.file
    with whole_folder(folder, marker=DESCRIPTION, strangers=_never_ours, wanted="a new or empty folder") as partial:
        assets = partial / _ASSETS.get(platform, ".")
        golden = partial / _GOLDEN.get(platform, ".") / FOLDER
        for place in (assets, golden):
            place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, assets / source.name)
        (assets / DESCRIPTION).write_text(json.dumps(kit.description, indent=2, ensure_ascii=False) + "\n", "utf-8")
        expected = write_golden(kit, golden, pictures)
        if not expected["pictures"]:
            raise ValueError("The test of an app needs one picture at least. Received: none")
        for name, text in _rendered(platform, kit, expected):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text, "utf-8")
    return Path(folder)


def _never_ours(_: Path) -> None:
    """Whatever lies in a folder of an app may be a user's work."""


def _rendered(platform: str, kit: Kit, expected: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Path and text of each file of a platform's templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=lambda name: bool(name) and name.endswith(".html" + _SUFFIX),
    )
    environment.filters |= {"import_map_hash": _import_map_hash, "plain": _plain, "android_string": _android_string}
    values = {"app": kit.description, "expected": expected, "assets": _ASSETS.get(platform, ".")}
    values |= {"golden": f"{_GOLDEN[platform]}/{FOLDER}" if platform in _GOLDEN else FOLDER, "expected_file": EXPECTED}
    for name in _names(files(__package__) / "templates" / platform):
        yield name.removesuffix(_SUFFIX), environment.get_template(f"{platform}/{name}").render(values)


def _names(folder: Traversable, above: str = "") -> Iterable[str]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _names(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield above + entry.name


def _import_map_hash(text: str) -> str:
    """What a Content-Security-Policy names an inline script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plain(text: str) -> str:
    """A name as every build system takes one: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "app"


def _android_string(text: str) -> str:
    """A text as a string resource of Android holds it."""
    for special in ("\\", "'", '"', "@", "?"):
        text = text.replace(special, f"\\{special}")
    return escape(text)
