"""Datasets by name: found in a folder, or downloaded once, checked and kept."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt

from evenflow.errors import EvenflowError, FileFormatError, InputError

__all__ = ["DATASETS", "Mnist", "RemoteFile", "data_cache", "dataset_path", "load_mnist"]

BLOCK = 1 << 20
TIMEOUT = 30.0
UNSATISFIABLE = 416


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be had by name.

    Parameters
    ----------
    filename : str
        Its name in the data folder.
    url : str
        Where it is downloaded from.
    sha256 : str
        Checksum of the download, in hexadecimal digits.
    licence : str
        Licence and owner of the data.
    """

    filename: str
    url: str
    sha256: str
    licence: str


DATASETS: dict[str, RemoteFile] = {
    "mnist": RemoteFile(
        filename="mnist.npz",
        url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        licence="CC BY-SA 3.0, Y. LeCun and C. Cortes",
    )
}


def data_cache() -> Path:
    """Folder where downloads are kept: ``EVENFLOW_CACHE/data``, or ``evenflow/data`` in the user's cache folder.

    Examples
    --------
    >>> data_cache().name
    'data'
    """
    chosen = os.environ.get("EVENFLOW_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "data"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "evenflow" / "data"


def dataset_path(name: str, *, folder: str | Path | None = None, download: bool = True) -> Path:
    """Path of a dataset: from the folder ``EVENFLOW_DATA`` if it is there, else from the cache, else downloaded.

    A download goes to a ``.part`` file, which is continued if it was interrupted, is checked against its checksum, and
    only then gets its name: the file is either whole or absent.

    Parameters
    ----------
    name : str
        A key of ``DATASETS``.
    folder : str or Path, optional
        Where downloads are kept; :func:`data_cache` by default.
    download : bool
        Whether the network may be used.

    Raises
    ------
    InputError
        If the name is unknown, or the file is absent and ``download`` is False.
    FileFormatError
        If the download does not have the checksum.
    EvenflowError
        If the download fails; what has arrived is kept and continued by the next call.

    Examples
    --------
    >>> dataset_path("no-such-data")
    Traceback (most recent call last):
    evenflow.errors.InputError: dataset 'no-such-data' is not known, expected one of: mnist
    """
    if name not in DATASETS:
        raise InputError(f"dataset {name!r} is not known, expected one of: {', '.join(DATASETS)}")
    remote = DATASETS[name]
    own = os.environ.get("EVENFLOW_DATA")
    if own and (Path(own).expanduser() / remote.filename).is_file():
        return Path(own).expanduser() / remote.filename
    target = (data_cache() if folder is None else Path(folder)) / remote.filename
    if target.is_file():
        return target
    if not download:
        raise InputError(
            f"dataset {name!r} is not in {target.parent}; allow the download, put {remote.filename} there, or set "
            "EVENFLOW_DATA to the folder that has it"
        )
    _download(remote, target)
    return target


def _download(remote: RemoteFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _append(remote.url, part)
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise EvenflowError(
            f"could not download {remote.url}: {error}; what has arrived is in {part} and the next call continues it. "
            f"Without a network put {remote.filename} into {target.parent} by hand, or set EVENFLOW_DATA"
        ) from error
    found = _sha256(part)
    if found != remote.sha256:
        part.unlink()
        raise FileFormatError(
            remote.url,
            f"the download has sha256 {found[:12]}..., expected {remote.sha256[:12]}...: the file at the address has "
            "changed, or two downloads ran at once; it was deleted, try again",
        )
    part.replace(target)


def _append(url: str, part: Path) -> None:
    """Fetch what is missing of the file; start over if the server cannot continue."""
    have = part.stat().st_size if part.is_file() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            continued = answer.status == 206
            expected = int(answer.headers.get("Content-Length", -1))
            arrived = 0
            with part.open("ab" if continued else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    arrived += len(block)
    except HTTPError as error:
        if error.code == UNSATISFIABLE and have:  # nothing is missing: the checksum decides
            return
        raise
    if expected >= 0 and arrived < expected:
        raise ConnectionError(f"the connection closed after {arrived} of {expected} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Mnist:
    """Handwritten digits.

    Parameters
    ----------
    train_images : ndarray, uint8, shape (60000, 28, 28)
        Grey values from 0 to 255.
    train_labels : ndarray, uint8, shape (60000,)
        Digits from 0 to 9.
    test_images, test_labels : ndarray
        The same for the 10 000 test images.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]


MNIST_SHAPES = {"x_train": (60000, 28, 28), "y_train": (60000,), "x_test": (10000, 28, 28), "y_test": (10000,)}


def load_mnist(*, folder: str | Path | None = None, download: bool = True) -> Mnist:
    """MNIST, from ``EVENFLOW_DATA/mnist.npz`` or downloaded by name (11 MB).

    Raises
    ------
    FileFormatError
        If the file does not hold the four arrays.
    InputError, EvenflowError
        As :func:`dataset_path`.
    """
    path = dataset_path("mnist", folder=folder, download=download)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            path, f"it is no npz archive of plain arrays ({error}); delete it to download it"
        ) from error
    _check(path, arrays)
    return Mnist(
        *(np.ascontiguousarray(arrays[key], dtype=np.uint8) for key in ("x_train", "y_train", "x_test", "y_test"))
    )


def _check(path: Path, arrays: Mapping[str, npt.NDArray[np.uint8]]) -> None:
    for key, shape in MNIST_SHAPES.items():
        if key not in arrays:
            raise FileFormatError(path, f"array {key!r} is missing (it has {sorted(arrays)}); delete it to download it")
        if arrays[key].shape != shape or arrays[key].dtype.kind not in "ui":
            raise FileFormatError(
                path, f"array {key!r} is {arrays[key].dtype} {arrays[key].shape}, expected integers of shape {shape}"
            )
