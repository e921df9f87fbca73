"""Datasets by name: found, downloaded, continued, refused; against a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from evenflow.errors import EvenflowError, FileFormatError, InputError
from evenflow.io import dataset
from evenflow.io.dataset import dataset_path, load_mnist

CONTENT = bytes(range(256)) * 5000


class Server:
    """Serves CONTENT; ``stop_after`` cuts answers short, ``ranges`` says whether downloads can be continued."""

    def __init__(self) -> None:
        self.stop_after, self.ranges, self.status = len(CONTENT), True, 200
        self.requests: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.requests.append(wanted)
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
                if server.status != 200:
                    self.send_error(server.status)
                    return
                if start >= len(CONTENT):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(CONTENT) - start))
                self.end_headers()
                self.wfile.write(CONTENT[start : server.stop_after])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/mnist.npz"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    monkeypatch.delenv("EVENFLOW_DATA", raising=False)
    local = replace(dataset.DATASETS["mnist"], url=found.url, sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(dataset.DATASETS, "mnist", local)
    yield found
    found.close()


def test_download_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        assert dataset_path("mnist", folder=tmp_path).read_bytes() == CONTENT
    assert server.requests == [None]
    assert [p.name for p in tmp_path.iterdir()] == ["mnist.npz"]


@pytest.mark.parametrize("ranges", [True, False])
def test_interrupted_download_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.stop_after = 700_000
    with pytest.raises(EvenflowError, match=r"could not download.*continues it"):
        dataset_path("mnist", folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mnist.npz.part"]
    have = (tmp_path / "mnist.npz.part").stat().st_size
    server.stop_after, server.ranges = len(CONTENT), ranges
    assert dataset_path("mnist", folder=tmp_path).read_bytes() == CONTENT
    assert server.requests[1] == f"bytes={have}-"


def test_whole_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mnist.npz.part").write_bytes(CONTENT)
    assert dataset_path("mnist", folder=tmp_path).read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mnist.npz.part").write_bytes(b"not the beginning of it")
    with pytest.raises(FileFormatError, match=r"sha256.*try again"):
        dataset_path("mnist", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert dataset_path("mnist", folder=tmp_path).read_bytes() == CONTENT


def test_failures_say_what_to_do(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of: mnist"):
        dataset_path("cifar")
    with pytest.raises(InputError, match="EVENFLOW_DATA"):
        dataset_path("mnist", folder=tmp_path, download=False)
    server.status = 404
    with pytest.raises(EvenflowError, match=r"404.*by hand"):
        dataset_path("mnist", folder=tmp_path)


def test_own_folder_comes_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist.npz").write_bytes(b"mine")
    monkeypatch.setenv("EVENFLOW_DATA", str(tmp_path))
    assert dataset_path("mnist").read_bytes() == b"mine"
    assert server.requests == []
    with pytest.raises(FileFormatError, match="no npz archive"):
        load_mnist()
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros(3))
    with pytest.raises(FileFormatError, match="'x_train' is float64"):
        load_mnist()
    np.savez(tmp_path / "mnist.npz", y_train=np.zeros(3))
    with pytest.raises(FileFormatError, match="'x_train' is missing"):
        load_mnist()


@pytest.mark.parametrize(("platform", "variable"), [("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")])
def test_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str
) -> None:
    monkeypatch.setenv("EVENFLOW_CACHE", str(tmp_path))
    assert dataset.data_cache() == tmp_path / "data"
    monkeypatch.delenv("EVENFLOW_CACHE")
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert dataset.data_cache() == tmp_path / "evenflow" / "data"


def test_real_mnist(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENFLOW_DATA", str(data))
    mnist = load_mnist(download=False)
    assert mnist.train_images.shape == (60000, 28, 28)
    assert np.bincount(mnist.train_labels).min() > 5000
    assert mnist.test_images.max() == 255
