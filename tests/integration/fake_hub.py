"""A model hub on 127.0.0.1 that speaks as much of the Hugging Face protocol as a download needs.

Written from the requests that ``huggingface_hub`` makes. It can misbehave on purpose: cut a
connection in the middle of a file, send other bytes than it announced, refuse or hang.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

COMMIT = "1234567890abcdef1234567890abcdef12345678"
_LFS_SUFFIXES = (".bin", ".safetensors", ".model")


@dataclass
class FakeHub:
    """Serves ``files`` as the repository ``repo_id``; ``url`` is what HF_ENDPOINT must be."""

    repo_id: str
    files: dict[str, bytes]
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """For a file, after how many bytes each of its next downloads breaks off."""
    damaged: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of a file's true content."""
    announced_bytes: dict[str, int] = field(default_factory=dict)
    """Sizes that the listing gives in place of the true ones."""
    refusal: tuple[int, str] | None = None
    """Status and X-Error-Code of every answer."""
    bytes_per_s: float | None = None
    has_ranges: bool = True
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range header of every request."""

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def downloads_of(self, name: str) -> list[str | None]:
        """The Range headers with which a file's content was asked for, in order."""
        return [asked for method, path, asked in self.requests if method == "GET" and path.endswith(f"/{name}")]

    def names_asked_for(self) -> set[str]:
        """The names of the files that were asked for at all."""
        return {path.rpartition("/")[2] for _, path, _ in self.requests if "/resolve/" in path}


def lfs_digest(name: str, content: bytes) -> str | None:
    is_pointer_itself = content.startswith(b"version https://git-lfs")  # committed by mistake, as plain text
    return hashlib.sha256(content).hexdigest() if name.endswith(_LFS_SUFFIXES) and not is_pointer_itself else None


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        api, files = f"/api/models/{hub.repo_id}", f"/{hub.repo_id}/resolve/"
        if hub.refusal is not None:
            self._refuse(*hub.refusal)
        elif path in (f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            self._send_json({"id": hub.repo_id, "sha": COMMIT, "siblings": [self._sibling(n) for n in hub.files]})
        elif path == f"{api}/tree/{COMMIT}":
            self._send_json([self._tree_entry(name) for name in hub.files])
        elif path.startswith(api):
            self._refuse(404, "RevisionNotFound")
        elif path.startswith(files) and path.removeprefix(files).partition("/")[2] in hub.files:
            self._send_file(path.removeprefix(files).partition("/")[2], with_body)
        else:
            self._refuse(401 if path.startswith("/api/") else 404, "RepoNotFound")

    def _sibling(self, name: str) -> dict[str, object]:
        content = self.hub.files[name]
        sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_digest(content)}
        if digest := lfs_digest(name, content):
            size_bytes = self.hub.announced_bytes.get(name, len(content))
            sibling["lfs"] = {"sha256": digest, "size": size_bytes, "pointerSize": 132}
        return sibling

    def _tree_entry(self, name: str) -> dict[str, object]:
        content = self.hub.files[name]
        entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": git_digest(content)}
        if digest := lfs_digest(name, content):
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 132}
        return entry

    def _send_json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, name: str, with_body: bool) -> None:
        content = self.hub.files[name]
        digest = lfs_digest(name, content)
        content = self.hub.damaged.get(name, content)
        asked = self.headers.get("Range") if self.hub.has_ranges else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{digest or git_digest(self.hub.files[name])}"')
        if digest:
            self.send_header("X-Linked-ETag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        if with_body:
            self._send_body(name, content[start:])

    def _send_body(self, name: str, body: bytes) -> None:
        cuts = self.hub.cuts.get(name, [])
        end = cuts.pop(0) if cuts else len(body)
        step = 64 * 1024
        for begin in range(0, min(end, len(body)), step):
            try:
                self.wfile.write(body[begin : min(begin + step, end)])
            except OSError:  # the client went away
                break
            if self.hub.bytes_per_s:
                time.sleep(step / self.hub.bytes_per_s)
        if end < len(body):
            self.close_connection = True
