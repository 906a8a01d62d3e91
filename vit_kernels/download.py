"""Files from an http(s) address: a bar, a timeout, a size limit, a checksum when given; whole under their name or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from vit_kernels.checkpoint import CheckpointError, atomic_file

CHUNK = 1 << 20
MAX_BYTES = 64 << 30


class DownloadError(ConnectionError):
    """A download failed; nothing was kept. The message names the address and the reason."""


def is_address(text: object) -> bool:
    """Whether a string is an http or https address."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def file_name(address: str) -> str:
    """The last part of an address's path, fit for a file name."""
    name = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(address).path))
    if not name or name in (".", "..") or "\0" in name or "\\" in name:
        raise DownloadError(f"{address} names no file; give the address of a file")
    return name


def download(address: str, folder: str | Path, sha256: str | None = None, timeout: float = 30.0) -> Path:
    """Fetch a file into a folder; one that is there already is not fetched again.

    Args:
        address: http:// or https://.
        folder: where it goes; made if need be.
        sha256: the file's SHA-256 or its first digits (at least 8), in hexadecimal; None for no check.
        timeout: seconds to wait for an answer, and for each part of it.

    Returns:
        The file's path.

    Raises:
        DownloadError: no answer, an error status, a cut connection, or another checksum. Nothing is left behind.
    """
    if sha256 is not None and (len(sha256) < 8 or set(sha256.lower()) - set("0123456789abcdef")):
        raise ValueError(f"sha256={sha256!r}, expected at least 8 hexadecimal digits")
    path = Path(folder) / file_name(address)
    if path.is_file():
        if sha256 is not None:
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
            _check(str(path), digest.hexdigest(), sha256)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_file(path) as file:
            fetch(address, file, sha256, timeout)
    except CheckpointError as error:
        if isinstance(error.__cause__, DownloadError):  # not the disk's fault
            raise error.__cause__ from None
        raise
    return path


def fetch(address: str, target: BinaryIO, sha256: str | None = None, timeout: float = 30.0, limit: int = MAX_BYTES,
          quiet: bool = False) -> None:
    """Copy what an address answers with into an open file.

    Args:
        address, sha256, timeout: as `download`.
        target: a binary file.
        limit: bytes after which it is given up.
        quiet: no bar.

    Raises:
        DownloadError: as `download`, or more than `limit` bytes.
    """
    if not is_address(address):
        raise DownloadError(f"{address!r} is no http:// or https:// address")
    digest = hashlib.sha256()
    count = 0
    try:
        with urllib.request.urlopen(address, timeout=timeout) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            with tqdm(total=total or None, unit="B", unit_scale=True, desc=file_name(address),
                      disable=True if quiet else None, file=sys.stderr) as bar:
                while chunk := answer.read(CHUNK):
                    count += len(chunk)
                    if count > limit:
                        raise DownloadError(f"{address} sends more than {limit:,} bytes; it was given up")
                    digest.update(chunk)
                    target.write(chunk)
                    bar.update(len(chunk))
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{address} cannot be downloaded: the server says {error.code} {error.reason}; check the "
                            "address") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        if isinstance(error, DownloadError):
            raise
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"{address} cannot be downloaded ({str(reason) or type(reason).__name__}); check the address and "
                            "the connection, or copy the file here by hand") from error
    if total and count != total:
        raise DownloadError(f"{address} broke off after {count:,} of {total:,} bytes; try again")
    if sha256 is not None:
        _check(address, digest.hexdigest(), sha256)


def _check(what: str, found: str, expected: str) -> None:
    if not found.startswith(expected.lower()):
        raise DownloadError(f"{what} has the SHA-256 {found}, expected {expected}; it is another file, or damaged")
