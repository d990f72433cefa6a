"""How a repository is named: `hf://USER/NAME[@REVISION][/PATH]`, in the hub's own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keras_inception.hub.errors import HubError

SCHEME = "hf://"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_FORM = re.compile(rf"hf://(?P<repository>{_NAME}/{_NAME})(?:@(?P<revision>[\w.-]+))?(?:/(?P<path>[^@]+))?/?")


@dataclass(frozen=True)
class Handle:
    """A repository on the hub, or a file or folder in it.

    Attributes:
        repository: `USER/NAME`.
        revision: Branch, tag or commit; None: the default branch.
        path: What in it is meant; empty: all of it.
    """

    repository: str
    revision: str | None = None
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Handle:
        """Reads a handle.

        Raises:
            HubError: It is none.
        """
        found = _FORM.fullmatch(text)
        parts = (found["path"] or "").rstrip("/").split("/") if found else []
        if not found or ".." in text or (parts != [""] and any(part in ("", ".", "..") for part in parts)):
            raise HubError(f"A repository is named hf://USER/NAME, maybe with @REVISION and /PATH. Received: {text}")
        return cls(found["repository"], found["revision"], "/".join(parts))

    def __str__(self) -> str:
        revision, path = f"@{self.revision}" if self.revision else "", f"/{self.path}" if self.path else ""
        return f"{SCHEME}{self.repository}{revision}{path}"
