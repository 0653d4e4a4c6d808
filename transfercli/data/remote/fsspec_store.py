"""Object stores through fsspec: Amazon S3 and servers that speak its protocol, Google Cloud Storage, Hugging Face."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterator
from functools import partial
from os.path import commonprefix
from typing import Any, TypeVar

from transfercli.data.remote.store import (
    CONNECT_SECONDS,
    NAMES_PER_PAGE,
    PART_BYTES,
    READ_SECONDS,
    PastEndError,
    RemoteError,
    RemoteFile,
    denied,
    missing,
    unavailable,
)
from transfercli.errors import DataError

T = TypeVar("T")

INSTALL = "pip install 'transfercli[remote]'"
# Fields of a listing that change with the content, the best first.
_VERSIONS = ("ETag", "etag", "generation", "lfs", "blob_id", "LastModified", "mtime", "updated", "last_modified")
_KEYS_PER_PAGE = 1000  # the most that S3 shows
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError")


class FsspecStore:
    """Store of one scheme. Raises `DataError` if the library for it is not installed."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.system = _SYSTEMS[scheme]()

    def files_below(self, address: str) -> Iterator[RemoteFile]:
        """Yield every object below a folder, at any depth; empty objects named `folder/` are markers, not files."""
        prefix = _path(address)
        found = self._call(address, lambda: self.system.find(f"{prefix}/", detail=True, withdirs=False))
        for name, info in found.items():
            if info.get("type") != "directory" and not name.endswith("/"):
                yield _file(f"{self.scheme}://{name}", info)

    def named_in(self, address: str, names: Collection[str]) -> Iterator[RemoteFile]:
        """Yield those of the named objects of a folder that its listing shows."""
        listed = self._pages(address, names) if self.scheme == "s3" else self._listed(address)
        for name, info in listed:
            if name in names and info.get("type") != "directory":
                yield _file(f"{address}/{name}", info)

    def _listed(self, address: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for info in self._call(address, lambda: self.system.ls(_path(address), detail=True)):
            yield info["name"].rpartition("/")[2], info

    def _pages(self, address: str, names: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what the first pages of a listing of S3 show, one page for every `NAMES_PER_PAGE` names."""
        bucket, _, key = _path(address).partition("/")
        folder = f"{key}/" if key else ""
        prefix = folder + commonprefix([*names])  # noqa: RUF071 - of keys, not of paths
        request = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/", "MaxKeys": _KEYS_PER_PAGE}
        for _ in range(len(names) // NAMES_PER_PAGE):
            page = self._call(address, partial(self.system.call_s3, "list_objects_v2", **request))
            for found in page.get("Contents", []):
                yield found["Key"].removeprefix(folder), {**found, "size": found["Size"]}
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def file_at(self, address: str) -> RemoteFile:
        """Return the object at an address."""
        info = self._call(address, lambda: self.system.info(_path(address)))
        if info.get("type") == "directory":
            raise missing(address)
        return _file(address, info)

    def read(self, address: str, start: int, size: int) -> Iterator[bytes]:
        """Yield the content of an object of `size` bytes from byte `start` on, with a request for each part.

        One of unknown size (-1) is read to its end.
        """
        while size < 0 or start < size:
            end = start + PART_BYTES if size < 0 else min(start + PART_BYTES, size)
            try:
                part = self._call(address, partial(self.system.cat_file, _path(address), start=start, end=end))
            except PastEndError:
                return
            if not part:
                return
            yield part
            start += len(part)

    def _call(self, address: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # each library has its own classes
            raise _translated(address, error) from None  # messages of libraries may hold signatures


def _s3() -> Any:
    try:
        from s3fs import S3FileSystem
    except ImportError:
        raise _not_installed("s3") from None
    settings = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": {"max_attempts": 0}}
    system = S3FileSystem(
        anon=not _has_aws_credentials(), config_kwargs=settings, use_listings_cache=False, skip_instance_cache=True
    )
    system.retries = 1  # transfers are tried again by fetch.py, other calls by retries.py
    return system


def _has_aws_credentials() -> bool:
    """Return True if botocore finds credentials; without them, public buckets are read without a signature."""
    import botocore.session

    return botocore.session.get_session().get_credentials() is not None


def _gs() -> Any:
    try:
        from gcsfs.core import GCSFileSystem  # that of the package asks for the kind of the bucket in every call
    except ImportError:
        raise _not_installed("gs") from None
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs tracebacks of what is an error of this package
    return GCSFileSystem(timeout=READ_SECONDS, use_listings_cache=False, skip_instance_cache=True)


def _hf() -> Any:
    from huggingface_hub import HfFileSystem

    return HfFileSystem(use_listings_cache=False, skip_instance_cache=True)


_SYSTEMS: dict[str, Callable[[], Any]] = {"s3": _s3, "gs": _gs, "hf": _hf}


def _not_installed(scheme: str) -> DataError:
    return DataError(f"{scheme}:// addresses need a library that is not installed", INSTALL)


def _path(address: str) -> str:
    return address.partition("://")[2].rstrip("/")


def _file(address: str, info: dict[str, Any]) -> RemoteFile:
    size = info.get("size")
    found = next((info[key] for key in _VERSIONS if info.get(key)), "")
    if isinstance(found, dict) or hasattr(found, "sha256"):  # a file in the large file storage of Hugging Face
        found = found["sha256"] if isinstance(found, dict) else found.sha256
    return RemoteFile(address, -1 if size is None else int(size), str(found).strip('"'))


def _translated(address: str, error: Exception) -> RemoteError:
    """Return the error of a library as one of this package."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "code", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    name, text = type(error).__name__, str(error)
    if isinstance(error, PermissionError) or status in (401, 403) or name in _NO_CREDENTIALS:
        return denied(address, text if name in _NO_CREDENTIALS else "")
    if isinstance(error, FileNotFoundError) or status == 404:
        return missing(address)
    if status == 416 or getattr(error, "errno", None) == errno.EINVAL:  # which s3fs makes of the status 416
        return PastEndError(f"{address}: is shorter than it was", "try again once nothing writes it any more")
    return unavailable(address, text or name)
