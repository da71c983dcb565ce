"""An S3-compatible service of the tests' own, in a process with packages of its own."""

import atexit
import os
import secrets
import subprocess
import time
from functools import cache
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.support.packages import python_with
from tests.support.ports import free_port

SERVICE: Final = ("moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
"""What its server needs for S3; the extra `server` brings ten times as much for other services."""

ACCESS: Final = {"AWS_ACCESS_KEY_ID": "id-of-tests", "AWS_SECRET_ACCESS_KEY": "secret-of-tests"}
"""The environment variables of whoever uses the service; it takes any."""

_SECONDS: Final = 60


class S3Service:
    """A running service; `url` is its endpoint."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        python = python_with(*SERVICE)
        self._process = subprocess.Popen(
            [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **ACCESS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                urlopen(self.url, timeout=_SECONDS).close()
            except (URLError, ConnectionError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def bucket(self) -> str:
        """Return a place for blobs in a new bucket."""
        name = f"b{secrets.token_hex(6)}"
        urlopen(Request(f"{self.url}/{name}", method="PUT"), timeout=_SECONDS).close()
        return f"s3://{name}/some/folder?endpoint={self.url}&region=us-east-1"

    def stop(self) -> None:
        """End the service."""
        self._process.terminate()
        self._process.wait()


@cache
def s3() -> S3Service:
    """Return the service that all tests of this process use, each with buckets of its own."""
    service = S3Service()
    atexit.register(service.stop)
    return service
