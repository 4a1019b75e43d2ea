"""A sweep's trials on the network, for machines that share no folder: Optuna's gRPC storage."""

from __future__ import annotations

import errno
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from layerkit.errors import ConfigError, FileError
from layerkit.guidance import to_install

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

DATABASE = "trials.db"
"""The file in a sweep's folder that has the trials that are served."""
PATIENCE = 10
"""Seconds in which a server has to answer."""


def serve(folder: str | Path, address: str) -> None:
    """Serve the trials of a sweep's folder at an address HOST:PORT, until it is interrupted.

    Raises
    ------
    ConfigError
        For an address of another form, and where gRPC is not installed.
    FileError
        When nothing can be served there, such as at a port in use.
    """
    host, port = place(f"grpc://{address}")
    check_free(host, port)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from optuna.storages import get_storage, run_grpc_proxy_server

        storage = get_storage(f"sqlite:///{folder / DATABASE}")
        Thread(target=_announce, args=(folder, host, port), daemon=True).start()
        with quiet():
            run_grpc_proxy_server(storage, host=host, port=port)
    except ImportError as error:
        raise ConfigError(f"{error}: {to_install('sweep')}") from error
    except RuntimeError as error:
        raise FileError(f"{host}:{port}: can't be served: {error}") from error


def check_free(host: str, port: int) -> None:
    """Raise a FileError for a port in use, also where gRPC would share it with who uses it."""
    hosts = ["127.0.0.1", "::1"] if host == "localhost" else [host.strip("[]")]
    for name in hosts:
        try:
            for family, *_, where in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
                socket.create_server(where[:2], family=family).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise FileError(f"{host}:{port}: the port is in use") from error


def _announce(folder: Path, host: str, port: int) -> None:
    """Print the address once the server answers."""
    everywhere = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
    connected(f"grpc://{everywhere.get(host, host)}:{port}")
    print(f'Serving {folder / DATABASE}; elsewhere: storage = "grpc://{host}:{port}"', flush=True)


def connected(url: str) -> BaseStorage:
    """Return the storage that is served at ``grpc://HOST:PORT``, once it answers."""
    from optuna.storages import GrpcStorageProxy

    host, port = place(url)
    with quiet():
        storage = GrpcStorageProxy(host=host, port=port)
    try:
        storage.wait_server_ready(timeout=PATIENCE)
    except ConnectionError as error:
        raise FileError(
            f"nothing answers; start it there: layerkit sweep FILE --serve {host}:{port}"
        ) from error
    return storage


@contextmanager
def answering(storage: str) -> Iterator[None]:
    """Say in a sentence that a server has gone, if trials are served; FileError then."""
    if not storage.startswith("grpc://"):
        yield
        return
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        raise FileError(
            f"{storage}: does not answer any more; when it does, the same command goes on"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling that its interface may change, and what it does."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def place(url: str) -> tuple[str, int]:
    """Return host and port, an address of IPv6 in brackets; ConfigError for a URL without them.

    Examples
    --------
    >>> place("grpc://nas.local:13000")
    ('nas.local', 13000)
    >>> place("grpc://[::1]:13000")
    ('[::1]', 13000)
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise ConfigError(
            f"{url.removeprefix('grpc://')!r}: should be HOST:PORT, such as localhost:13000"
        )
    return f"[{host}]" if ":" in host else host, port
