"""A hub of its own on 127.0.0.1, with as much of the protocol as huggingface_hub speaks to push and to fetch.

Repositories live in memory, as commits of files by path. Small text travels inside the commit, all else by LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]
REGULAR = (".json", ".md", ".txt", ".csv")  # as the hub's .gitattributes have it, by suffix


@dataclass
class Repository:
    """Commits, oldest first, and the names of some of them."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: Files, message: str) -> str:
        number = f"{len(self.commits)} {message} {sorted(files)}"
        sha = hashlib.sha1(number.encode()).hexdigest()
        self.commits[sha], self.refs["main"] = files, sha
        self.messages.append(message)
        return sha


@dataclass
class Hub:
    """What a test sees and sets of the server."""

    endpoint: str = ""
    tokens: dict[str, str] = field(default_factory=lambda: {"hf_writer": "ada", "hf_other": "eve"})
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    """Paths of which a byte is turned on the way to whoever fetches them."""
    full: bool = False
    """Whether large files are refused."""
    requests: list[str] = field(default_factory=list)

    def put(self, name: str, files: Files, private: bool = False) -> str:
        """Lays files into a repository, as someone else's push would."""
        return self.repositories.setdefault(name, Repository(private)).commit(files, "by hand")


def is_large(path: str) -> bool:
    return not path.endswith(REGULAR)


def blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def user(self) -> str | None:
        return self.hub.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def answer(self, status: int, content: Any = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        headers = {"X_Error_Code": code} if code else {}
        self.answer(status, {"error": message}, X_Error_Message=message, **headers)

    def handle_request(self) -> None:
        self.path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {self.path}")
        for method, pattern, action in ROUTES:
            found = re.fullmatch(pattern, self.path)
            if found and self.command in method.split():
                action(self, **found.groupdict())
                return
        self.refuse(404, message=f"no route for {self.command} {self.path}")

    do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815 (http.server's names)

    def found(self, name: str, *, to_write: bool = False) -> Repository | None:
        """The repository, or None after a refusal as the hub words it."""
        repository, owner = self.hub.repositories.get(name), name.partition("/")[0]
        if repository is None or (repository.private and self.user != owner):
            self.refuse(404 if self.user else 401, "RepoNotFound", "Repository not found")
        elif to_write and self.user != owner:
            self.refuse(403 if self.user else 401, message="You don't have the right")
        else:
            return repository
        return None

    def files(self, name: str, revision: str) -> tuple[str, Files] | None:
        """A commit's sum and files, or None after a refusal."""
        repository = self.found(name)
        if repository is None:
            return None
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return sha, repository.commits[sha]

    def create(self) -> None:
        asked = json.loads(self.body)
        if self.user is None:
            self.refuse(401, message="Invalid username or password.")
            return
        owner = asked.get("organization") or self.user
        name = f"{owner}/{asked['name']}"
        url = f"{self.hub.endpoint}/{name}"
        if name in self.hub.repositories:
            self.answer(409, {"error": "You already created this model repo", "url": url})
        elif owner != self.user:
            self.refuse(403, message="You don't have the rights to create a model under this namespace")
        else:
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.hub.repositories[name] = Repository(private)
            self.hub.repositories[name].commit({".gitattributes": b"* text=auto\n"}, "initial commit")
            self.answer(200, {"url": url, "name": name, "id": name})

    def validate(self) -> None:
        self.answer(200, {"warnings": [], "errors": []})

    def information(self, name: str, revision: str = "main") -> None:
        if found := self.files(name, revision):
            sha, files = found
            siblings = [{"rfilename": path} for path in sorted(files)]
            self.answer(200, {"id": name, "modelId": name, "sha": sha, "siblings": siblings, "tags": []})

    def tree(self, name: str, revision: str) -> None:
        if found := self.files(name, revision):
            self.answer(200, [self.described(path, content) for path, content in sorted(found[1].items())])

    def described(self, path: str, content: bytes) -> dict[str, Any]:
        large = {"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 134}} if is_large(path) else {}
        return {"type": "file", "path": path, "size": len(content), "oid": blob_id(content), **large}

    def preupload(self, name: str, revision: str) -> None:
        if repository := self.found(name, to_write=True):
            there = repository.commits[repository.refs[revision]]
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                    "shouldIgnore": False,
                    "oid": (sha256 if is_large(file["path"]) else blob_id)(there[file["path"]])
                    if file["path"] in there
                    else None,
                }
                for file in json.loads(self.body)["files"]
            ]
            self.answer(200, {"files": files})

    def batch(self, name: str) -> None:
        if self.found(name, to_write=True):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}}}
                for one in json.loads(self.body)["objects"]
            ]
            self.answer(200, {"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if self.hub.full or sha256(self.body) != oid:
            self.refuse(403, message="no room, or another file")
            return
        self.hub.objects[oid] = self.body
        self.answer(200)

    def commit(self, name: str, revision: str) -> None:
        repository = self.found(name, to_write=True)
        if repository is None:
            return
        lines = [json.loads(line) for line in self.body.splitlines() if line]
        files = dict(repository.commits[repository.refs[revision]])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                del files[value["path"]]
        sha = repository.commit(files, lines[0]["value"]["summary"])
        self.answer(200, {"commitUrl": f"{self.hub.endpoint}/{name}/commit/{sha}", "commitOid": sha})

    def resolve(self, name: str, revision: str, file: str) -> None:
        found = self.files(name, revision)
        if found is None:
            return
        sha, files = found
        if file not in files:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        content = files[file]
        if is_large(file):
            oid = sha256(content)
            self.hub.objects[oid] = self.turned(file, content)
            store = self.hub.endpoint.replace("127.0.0.1", "localhost")  # by another name, as large files lie elsewhere
            linked = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(content)), "Location": f"{store}/lfs/{oid}"}
            self.answer(302, X_Repo_Commit=sha, **linked)
        else:
            self.answer(200, self.turned(file, content), ETag=f'"{blob_id(content)}"', X_Repo_Commit=sha)

    def turned(self, file: str, content: bytes) -> bytes:
        return bytes([content[0] ^ 1]) + content[1:] if file in self.hub.damaged else content

    def large(self, oid: str) -> None:
        self.answer(200, self.hub.objects[oid], ETag=f'"{oid}"')


NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
ROUTES = [
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("POST", rf"/api/models/{NAME}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", rf"/api/models/{NAME}/commit/(?P<revision>.+)", Handler.commit),
    ("GET", rf"/api/models/{NAME}/tree/(?P<revision>[^/]+)/?", Handler.tree),
    ("GET", rf"/api/models/{NAME}/revision/(?P<revision>.+)", Handler.information),
    ("GET", rf"/api/models/{NAME}", Handler.information),
    ("POST", rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", Handler.store),
    ("GET HEAD", r"/lfs/(?P<oid>\w+)", Handler.large),
    ("GET HEAD", rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", Handler.resolve),
]


@contextmanager
def served() -> Iterator[Hub]:
    """Runs a hub while the block does."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfHub", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
