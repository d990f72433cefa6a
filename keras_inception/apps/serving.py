"""A web kit on this machine: its folder's files and nothing else, with the headers that isolate the page."""

from __future__ import annotations

import errno
import os
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

LOCALHOST = "127.0.0.1"
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".tflite": "application/octet-stream",
    }

    def send_head(self) -> Any:
        """Answers 404 to all but files inside the folder: no listings, nothing hidden, nothing that a link leads to."""
        folder = Path(self.directory).resolve()
        parts = PurePosixPath(unquote(urlsplit(self.path).path)).parts[1:]
        try:
            place = folder.joinpath(*(parts or ("index.html",))).resolve()
            is_ours = place.is_file() and place.is_relative_to(folder)
        except (OSError, ValueError):
            is_ours = False
        if not is_ours or any(part.startswith(".") or os.sep in part for part in parts):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing: which picture is looked at is nobody's business."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # where it would let two servers share a port


def server(folder: Path, host: str = LOCALHOST, port: int = 8000) -> ThreadingHTTPServer:
    """Opens a server of a kit's files; `serve_forever` runs it.

    Args:
        folder: A web kit.
        host: Address to listen on.
        port: Its port; 0 takes any that is free.

    Raises:
        ValueError: The port is in use or may not be taken, or the address is none of this machine's.
    """

    def handler(*given: Any) -> _Handler:
        return _Handler(*given, directory=str(folder))

    try:
        return _Server((host, port), handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"--port must be one that nobody uses. Received: {port} of {host}, in use") from None
        raise ValueError(
            f"A page is served on an address and a port of this machine. Received: {host}, {port} ({error.strerror})"
        ) from None
    except OverflowError:
        raise ValueError(f"A port is a number from 0 to 65535. Received: {port}") from None
