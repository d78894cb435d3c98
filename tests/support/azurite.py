"""Azurite, Azure Storage's emulator, started for tests and stopped after them."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.support.node import find_node

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulator's account key, the same everywhere and printed in its manual: not a secret."""

HOME = Path(__file__).parent.parent / "azurite"

_READY = re.compile(r"service successfully listens on (?P<url>https?://\S+)")
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class AzuriteError(RuntimeError):
    """Azurite is not installed or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running emulator."""

    endpoint: str
    """The blob service of the account, ``http://127.0.0.1:PORT/devstoreaccount1``."""

    @property
    def connection_string(self) -> str:
        """What ``--connection-string`` and the SDK take."""
        scheme = self.endpoint.partition(":")[0]
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.endpoint};"
        )

    def blob_url(self, container: str, blob: str) -> str:
        """The URL of *blob* in *container*, without credentials."""
        return f"{self.endpoint}/{container}/{blob}"

    def sas(
        self,
        container: str,
        blob: str,
        *,
        permission: str = "racwd",
        valid_for: timedelta = timedelta(hours=1),
    ) -> str:
        """A SAS token for *blob*; a negative *valid_for* makes an expired one."""
        from azure.storage.blob import generate_blob_sas

        now = datetime.now(timezone.utc)
        return generate_blob_sas(
            account_name=ACCOUNT,
            container_name=container,
            blob_name=blob,
            account_key=KEY,
            permission=permission,
            start=now - timedelta(days=1),
            expiry=now + valid_for,
        )


@contextlib.contextmanager
def start_azurite(
    *arguments: str,
    home: Path = HOME,
    in_memory: bool = True,
    check_versions: bool = False,
) -> Iterator[Azurite]:
    """Run Azurite's blob service on a free port of the loopback interface.

    Args:
        *arguments: more of Azurite's own, such as ``"--cert", "c.pem", "--key", "k.pem"`` (which
            make it serve HTTPS), ``"--oauth", "basic"``, or ``"--location", folder``.
        home: the folder whose ``node_modules`` holds Azurite.
        in_memory: keep blobs in memory; must be false with ``--location``.
        check_versions: refuse versions of the API that it does not know, as it does by default.

    Raises:
        AzuriteError: it is not installed as pinned, or did not start (its output is shown).
    """
    command = [
        str(find_node()),
        "--require",
        str(HOME / "exit_with_parent.cjs"),
        str(_program(home)),
        *("--blobHost", "127.0.0.1", "--blobPort", "0"),
        *("--disableTelemetry", "--silent"),
        *([] if check_versions else ["--skipApiVersionCheck"]),
        *(["--inMemoryPersistence"] if in_memory else []),
        *arguments,
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output: deque[str] = deque(maxlen=200)
    url: list[str] = []
    settled = threading.Event()

    def read_output() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                output.append(line)
                if found := _READY.search(line):
                    url.append(found["url"])
                    settled.set()
        settled.set()

    reader = threading.Thread(target=read_output, name="azurite-output", daemon=True)
    reader.start()
    try:
        settled.wait(_START_SECONDS)
        if not url:
            raise AzuriteError(_not_started(command, output))
        yield Azurite(endpoint=f"{url[0]}/{ACCOUNT}")
    finally:
        _stop(process)
        reader.join()


def _stop(process: subprocess.Popen[str]) -> None:
    # Asked by a signal, Azurite first waits for idle connections to close.
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program(home: Path) -> Path:
    """The script to run, after a check that it is the pinned version."""
    package = home / "node_modules" / "azurite" / "package.json"
    pinned = json.loads((home / "package.json").read_text())["dependencies"]["azurite"]
    installed = json.loads(package.read_text())["version"] if package.exists() else "none"
    if installed != pinned:
        raise AzuriteError(
            f"Azurite {pinned} is needed in {home}, and {installed} is there: run 'make test', or "
            f"'python -m tests.support.node {home}' in the project's virtual environment"
        )
    return package.parent / "dist" / "src" / "blob" / "main.js"


def _not_started(command: Sequence[str], output: Sequence[str]) -> str:
    said = "".join(output) or "(nothing)\n"
    return f"Azurite did not start. {' '.join(command)}\nprinted:\n{said}"
