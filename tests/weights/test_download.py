"""The download code against a real server on this machine."""

import errno
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import keras_inception as ki
from keras_inception import weights
from keras_inception.weights import DownloadError, WeightsError, download, get_weights
from keras_inception.weights.resolved import Weights

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; the path tells how it misbehaves."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        name = self.path.strip("/")
        if name == "missing.h5":
            return self.send_error(404)
        if name == "redirect.h5":
            self.send_response(302)
            self.send_header("Location", "/whole.h5")
            return self.end_headers()
        if name == "elsewhere.h5":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            return self.end_headers()
        content = server.content
        begun = 0
        asked = self.headers.get("Range")
        if asked and name != "unranged.h5":
            begun = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begun >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                return self.end_headers()
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - begun))
        self.end_headers()
        if name.startswith("cut") and len(server.requests) == 1:
            self.wfile.write(content[begun : len(content) // 2])
            return self.wfile.flush()  # the connection ends half-way
        if name == "stall.h5" and len(server.requests) == 1:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            return server.released.wait(20)
        if name == "slow.h5":
            for start in range(begun, len(content), 65536):
                self.wfile.write(content[start : start + 65536])
                self.wfile.flush()
                if server.released.wait(0.1):
                    return None
            return None
        return self.wfile.write(content[begun:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.content, running.released = [], CONTENT, threading.Event()
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in (download.MIRROR, download.OFFLINE, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(download.TIMEOUT, "1")
    monkeypatch.setattr(download, "PAUSE", 0.01)


def weight_set(server, name, digest=f"sha256:{SHA256}"):
    url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
    return replace(get_weights("keras/inception_v3"), tag=f"test/{name}", url=url, digest=digest)


def part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def test_a_file_is_fetched_once(server):
    wanted = weight_set(server, "whole.h5")
    path = download.fetch(wanted)
    assert path == download.cache_folder() / "test" / "whole.h5"
    assert path.read_bytes() == CONTENT
    assert download.fetch(wanted) == path
    assert len(server.requests) == 1
    assert not part(path).exists()


def test_a_cut_connection_is_continued(server):
    path = download.fetch(weight_set(server, "cut.h5"))
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_server_that_stops_half_way_is_asked_again(server):
    begun = time.monotonic()
    assert download.fetch(weight_set(server, "stall.h5")).read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert time.monotonic() - begun < 15


def test_a_server_without_ranges_sends_all_again(server):
    wanted = weight_set(server, "unranged.h5")
    path = download.cache_folder() / wanted.file_name
    path.parent.mkdir(parents=True)
    part(path).write_bytes(CONTENT[:1000])
    assert download.fetch(wanted).read_bytes() == CONTENT


def test_a_finished_part_is_only_checked(server):
    wanted = weight_set(server, "whole.h5")
    path = download.cache_folder() / wanted.file_name
    path.parent.mkdir(parents=True)
    part(path).write_bytes(CONTENT)
    assert download.fetch(wanted).read_bytes() == CONTENT


def test_the_part_of_another_version_is_given_up(server):
    wanted = weight_set(server, "whole.h5")
    path = download.cache_folder() / wanted.file_name
    path.parent.mkdir(parents=True)
    part(path).write_bytes(b"x" * 1000)
    assert download.fetch(wanted).read_bytes() == CONTENT


def test_a_redirect_is_followed(server):
    assert download.fetch(weight_set(server, "redirect.h5")).read_bytes() == CONTENT


def test_a_redirect_off_the_web_is_not(server):
    with pytest.raises(DownloadError, match="HTTP status 302"):
        download.fetch(weight_set(server, "elsewhere.h5"))


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "sha1"])
def test_a_wrong_hash_is_refused_and_nothing_is_left(server, algorithm):
    wanted = weight_set(server, "whole.h5", f"{algorithm}:00112233")
    with pytest.raises(WeightsError, match=f"must have the {algorithm.upper()} that was published, 00112233"):
        download.fetch(wanted)
    path = download.cache_folder() / wanted.file_name
    assert not path.exists()
    assert not part(path).exists()


def test_not_found_names_the_url_and_the_place(server):
    wanted = weight_set(server, "missing.h5")
    with pytest.raises(DownloadError) as caught:
        download.fetch(wanted)
    message = str(caught.value)
    assert "HTTP status 404" in message
    assert wanted.url in message
    assert str(download.cache_folder() / wanted.file_name) in message
    assert len(server.requests) == 1


def test_offline_connects_to_nothing(server, monkeypatch):
    monkeypatch.setenv(download.OFFLINE, "1")
    wanted = weight_set(server, "whole.h5")
    with pytest.raises(DownloadError, match="by hand and put it at") as caught:
        download.fetch(wanted)
    assert "\n" not in str(caught.value)
    assert not server.requests
    path = download.cache_folder() / wanted.file_name
    path.write_bytes(CONTENT)
    assert download.fetch(wanted) == path


def test_nobody_answers(monkeypatch):
    wanted = replace(get_weights("keras/inception_v3"), url="http://127.0.0.1:9/none.h5", tag="test/none")
    with pytest.raises(DownloadError, match="Connection refused"):
        download.fetch(wanted)


def test_the_mirror_is_asked_instead(server, monkeypatch):
    monkeypatch.setenv(download.MIRROR, f"http://127.0.0.1:{server.server_address[1]}/copy/")
    wanted = replace(weight_set(server, "whole.h5"), url="http://127.0.0.1:9/whole.h5")
    assert download.fetch(wanted).read_bytes() == CONTENT
    assert server.requests == [("/copy/test/whole.h5", None)]


def test_what_has_no_published_hash_is_held_to_the_first_download(server):
    wanted = weight_set(server, "whole.h5", digest="")
    path = download.fetch(wanted)
    download.note_hash(wanted, path)
    path.write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(WeightsError, match="that was first downloaded"):
        download.fetch(wanted)


def test_a_page_in_the_place_of_weights_leaves_no_hash_behind(server):
    """The publisher's server answers with a page; the user deletes it; the server is right again."""
    model = ki.MobileNetV1(alpha=0.25, input_shape=(32, 32, 3))
    wanted = replace(weight_set(server, "page.h5", digest=""), converter="keras/mobilenet_v1")
    server.content = b"<html>too many requests</html>"
    found = Weights(wanted)
    path = download.cache_folder() / wanted.file_name
    with pytest.raises(WeightsError, match=f"Delete {path} to have it downloaded again"):
        found.load_into(model)
    assert [file.suffix for file in path.parent.iterdir() if file.suffix != ".lock"] == [".h5"]
    path.unlink()
    weights.save_weights(model, path.with_name("right.h5"))
    server.content = path.with_name("right.h5").read_bytes()
    with pytest.raises(WeightsError, match="read as keras/mobilenet_v1"):  # a file that can be read, of another layout
        found.load_into(model)
    assert path.read_bytes() == server.content


def test_a_publisher_who_replaces_a_file_is_told_apart_from_damage(server):
    wanted = weight_set(server, "whole.h5", digest="")
    path = download.fetch(wanted)
    download.note_hash(wanted, path)
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsError, match=f"delete {path} and try again, and {path}.sha256 with it"):
        download.fetch(wanted)
    path.with_name(path.name + ".sha256").unlink()
    assert download.fetch(wanted).read_bytes() == server.content


def test_a_cache_that_cannot_be_written_is_read(server, monkeypatch):
    wanted = weight_set(server, "whole.h5", digest="")
    path = download.cache_folder() / wanted.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert download.fetch(wanted) == path
    download.note_hash(wanted, path)


@pytest.mark.parametrize("position", [0, 1, 12345, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_flipped_bit_in_the_cache_is_found(server, position):
    wanted = weight_set(server, "whole.h5")
    path = download.fetch(wanted)
    damaged = bytearray(CONTENT)
    damaged[position] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(WeightsError):
        download.fetch(wanted)


CHILD = """
import dataclasses, sys
from keras_inception.weights import download, get_weights
url, tag, digest = sys.argv[1:]
wanted = dataclasses.replace(get_weights("keras/inception_v3"), tag=tag, url=url, digest=digest)
print(download.fetch(wanted), flush=True)
"""


def child(wanted):
    arguments = [sys.executable, "-c", CHILD, wanted.url, wanted.tag, wanted.digest]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})


def test_a_killed_download_is_continued(server):
    wanted = weight_set(server, "slow.h5")
    path = download.cache_folder() / wanted.file_name
    with child(wanted) as process:
        deadline = time.monotonic() + 60
        while not (part(path).is_file() and part(path).stat().st_size >= 65536):
            assert time.monotonic() < deadline, process.stderr.read() if process.poll() is not None else "no part"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not path.exists()
    begun = part(path).stat().st_size
    assert 0 < begun < len(CONTENT)
    server.requests.clear()
    assert download.fetch(wanted).read_bytes() == CONTENT
    assert server.requests[0][1] == f"bytes={begun}-"


def test_two_processes_download_once(server):
    wanted = weight_set(server, "slow.h5")
    with child(wanted) as first, child(wanted) as second:
        results = [process.communicate(timeout=90) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], results
    path = download.cache_folder() / wanted.file_name
    assert {output.strip() for output, _ in results} == {str(path)}
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
