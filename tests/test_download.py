"""Downloads from a server on this machine: whole or not at all."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
import time

import pytest

from vit_kernels.download import DownloadError, download, file_name, is_address

BODY = bytes(range(256)) * 5000


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/slow"):
            time.sleep(1.5)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:1000] if self.path.startswith("/cut") else BODY)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made.asked = []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def at(server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def test_download_once(server):
    address, digest = at(server, "/a/weights.bin?x=1"), hashlib.sha256(BODY).hexdigest()
    path = download(address, "folder/inner", sha256=digest)
    assert str(path) == "folder/inner/weights.bin" and path.read_bytes() == BODY
    assert download(address, "folder/inner", sha256=digest[:8]) == path and len(server.asked) == 1


@pytest.mark.parametrize("path, message", [("/missing.bin", "404"), ("/cut.bin", "broke off after 1,000 of 1,280,000|IncompleteRead"),
                                           ("/slow.bin", "timed out")])
def test_failures_leave_nothing(server, path, message):
    with pytest.raises(DownloadError, match=message):
        download(at(server, path), "folder", timeout=0.5)
    assert os.listdir("folder") == []


def test_checksum(server):
    with pytest.raises(DownloadError, match="SHA-256"):
        download(at(server, "/w.bin"), "folder", sha256="0" * 64)
    assert os.listdir("folder") == []
    path = download(at(server, "/w.bin"), "folder")
    path.write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match="SHA-256"):
        download(at(server, "/w.bin"), "folder", sha256=hashlib.sha256(BODY).hexdigest())


def test_no_server():
    with pytest.raises(DownloadError, match="check the address"):
        download("http://127.0.0.1:9/w.bin", "folder", timeout=2)


def test_names():
    assert file_name("https://host/a%20b/model.ckpt?token=1") == "model.ckpt"
    for odd in ("https://host/", "https://host/a/..", "https://host"):
        with pytest.raises(DownloadError, match="names no file"):
            file_name(odd)
    assert is_address("HTTP://x/y") and not is_address("file:///etc/passwd") and not is_address("a/http://b")
    with pytest.raises(ValueError, match="hexadecimal"):
        download("http://127.0.0.1:9/w.bin", "folder", sha256="xyz")
