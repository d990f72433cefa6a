"""The way to the hub: what is to be uploaded is known before anything is, and arrives in one commit or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_inception.hub.contents import Content, contents, is_ours, size
from keras_inception.hub.errors import HubError, told
from keras_inception.hub.handle import Handle

ENDPOINT = "HF_ENDPOINT"
MESSAGE = "Upload with keras-inception"


@dataclass(frozen=True)
class Pushed:
    """What was uploaded.

    Attributes:
        handle: The repository.
        url: The repository as a page.
        revision: The commit, which `hf://USER/NAME@COMMIT` names for good.
        files: Size in bytes of each file, by its path.
        removed: Files of an earlier upload that are no longer part of it.
    """

    handle: str
    url: str
    revision: str
    files: Mapping[str, int]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be uploaded.

    Attributes:
        handle: Where to.
        files: Path in the repository and content of each file.
    """

    handle: Handle
    files: Mapping[str, Content]

    @property
    def sizes(self) -> dict[str, int]:
        """Size in bytes of each file, by its path."""
        return {path: size(content) for path, content in self.files.items()}

    def send(self, *, private: bool = False, message: str = MESSAGE) -> Pushed:
        """Uploads it in one commit; files of an earlier upload that are none of this one go.

        Args:
            private: Whether a repository that has to be created is shown to its owner alone.
            message: Of the commit.

        Raises:
            HubError: The hub refuses it, or cannot be reached.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        name = self.handle.repository
        with told(str(self.handle)):
            api = client()
            url = api.create_repo(name, private=private or None, exist_ok=True)
            there = api.list_repo_files(name)
            removed = tuple(path for path in there if is_ours(path) and path not in self.files)
            operations: list[Any] = [CommitOperationDelete(path_in_repo=path) for path in removed]
            operations += [
                CommitOperationAdd(path_in_repo=path, path_or_fileobj=file) for path, file in self.files.items()
            ]
            commit = api.create_commit(name, operations, commit_message=message)
        return Pushed(str(self.handle), str(url), commit.oid, self.sizes, removed)


def plan(source: str | Path, handle: str, *, license: str = "", report: bool = False) -> Plan:  # noqa: A002 (the hub's word)
    """Finds out what is to be uploaded, and that it is whole. Nothing is sent.

    Args:
        source: Run folder, with the export in it, or the folder of an export.
        handle: `hf://USER/NAME`.
        license: For the card, see `hub.card`.
        report: Whether report.html goes along, with the pictures in it.

    Raises:
        FileNotFoundError: The folder or a file of it is not there.
        ValueError: A file of it is damaged, or the handle is none to upload to.
    """
    place = Handle.parse(handle)
    if place.revision or place.path:
        raise HubError(f"An upload goes to a repository as a whole, hf://USER/NAME. Received: {handle}")
    found = contents(Path(source).expanduser(), repository=place.repository, license=license, report=report)
    return Plan(place, found)


def push(
    source: str | Path,
    handle: str,
    *,
    private: bool = False,
    license: str = "",  # noqa: A002
    report: bool = False,
    message: str = MESSAGE,
) -> Pushed:
    """Uploads a run or an export to the hub: what opens it again, what was measured, and its card.

    No photograph is uploaded, nor names of photographs or paths of this machine. The token is huggingface_hub's own:
    of `hf auth login`, or HF_TOKEN; HF_ENDPOINT names another hub.

    Args:
        source: Run folder, with the export in it, or the folder of an export.
        handle: `hf://USER/NAME`; the repository is created where there is none.
        private: Whether a repository that has to be created is shown to its owner alone.
        license: Under which the model is given, in SPDX's words, for the card; see `hub.card`.
        report: Whether report.html goes along, with the pictures in it.
        message: Of the commit.

    Raises:
        FileNotFoundError: The folder or a file of it is not there.
        HubError: The handle is none to upload to, the hub refuses the upload, or it cannot be reached.
        ValueError: A file of it is damaged.
    """
    return plan(source, handle, license=license, report=report).send(private=private, message=message)


def client() -> Any:
    """huggingface_hub's client of the hub that HF_ENDPOINT names."""
    from huggingface_hub import HfApi

    import keras_inception as ki

    return HfApi(os.environ.get(ENDPOINT), library_name="keras-inception", library_version=ki.__version__)
