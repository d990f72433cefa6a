"""A kit's page on this machine: its files with their headers, and nothing else."""

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_inception.apps.serving import server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "app"
    (folder / "golden").mkdir(parents=True)
    (folder / "index.html").write_text("<p>page</p>")
    (folder / "page.js").write_text("1")
    (folder / ".npmrc").write_text("secret")
    (folder / "golden" / "00.png").write_bytes(b"png")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with server(folder, port=0) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def answer(port: int, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content, dict(response.getheaders())


@pytest.mark.parametrize("path", ["/", "/index.html", "/page.js", "/golden/00.png", "/page.js?version=2"])
def test_files_of_the_kit_come_isolated(port: int, path: str):
    status, content, headers = answer(port, path)
    assert status == 200
    assert content in (b"<p>page</p>", b"1", b"png")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_scripts_are_javascript_whatever_the_machine_thinks(port: int):
    assert answer(port, "/page.js")[2]["Content-type"] == "text/javascript"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/%2e%2e/secret.txt", "/golden/../../secret.txt", "/golden/..%2f..%2fsecret.txt", "/link",
        "//etc/passwd", "/golden/", "/golden", "/.npmrc", "/absent", "/page.js%00", "/%ff",
    ],
)  # fmt: skip
def test_all_else_is_not_found(port: int, path: str):
    status, content, _ = answer(port, path)
    assert status == 404
    assert b"secret" not in content


def test_nothing_can_be_written(port: int):
    assert answer(port, "/page.js", "PUT")[0] == 501
    assert answer(port, "/page.js", "HEAD")[:2] == (200, b"")


def test_a_port_in_use_and_a_strange_address_are_one_sentence(folder: Path, port: int):
    with pytest.raises(ValueError, match=rf"must be one that nobody uses. Received: {port} of 127.0.0.1, in use"):
        server(folder, port=port)
    with pytest.raises(ValueError, match=r"an address and a port of this machine. Received: 203.0.113.5, 0"):
        server(folder, "203.0.113.5", 0)
    with pytest.raises(ValueError, match=r"a number from 0 to 65535. Received: 70000"):
        server(folder, port=70000)


def test_no_other_machine_sees_it_unless_told(folder: Path):
    with server(folder, port=0) as serving:
        assert serving.socket.getsockname()[0] == "127.0.0.1"
        assert serving.socket.family == socket.AF_INET
