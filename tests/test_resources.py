"""A limit of the operating system is its own error, and no bug."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.pageblob_server import SAS
from tests.support.build_vhd import place
from tests.support.uploads import PER_MIB, dynamic
from vhdtools.errors import ResourceLimitError
from vhdtools.resources import resource_limit
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.failures import error_from_failure

PLACE = BlobAddress("https://acct.blob.core.windows.net", "vhds", "disk.vhd")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files in system"), "ulimit -n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.ENOBUFS, "No buffer space"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "thread"),
        (ImportError("x.so: failed to map segment: Cannot allocate memory"), "memory"),
    ],
    ids=repr,
)
def test_limits(error: Exception, word: str) -> None:
    for raised in (error, caused_by(error)):
        found = resource_limit(raised, "disk.vhd")
        assert isinstance(found, ResourceLimitError)
        assert found.subject == "disk.vhd"
        assert word in str(found)
        assert found.remedy


def caused_by(error: Exception) -> Exception:
    wrapper = ValueError("x")
    wrapper.__cause__ = error
    return wrapper


@pytest.mark.parametrize(
    "error",
    [None, OSError(errno.ENOENT, "x"), RuntimeError("x"), ImportError("x"), KeyError("memory")],
    ids=repr,
)
def test_other_errors(error: Exception | None) -> None:
    assert resource_limit(error) is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_not_the_networks(number: int) -> None:
    error = error_from_failure(PLACE, OSError(number, os.strerror(number)))
    assert isinstance(error, ResourceLimitError)
    assert error.subject == PLACE.url


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


WITHOUT_DESCRIPTORS = """
import os, resource, sys
from vhdtools.target.destination import open_target
import vhdtools.target.blob_session
target = open_target(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
try:
    target.state()
except Exception as error:
    problem = f"{type(error).__name__}: {error.problem}"
for one in held:
    os.close(one)
print(problem)
"""


@pytest.mark.parametrize(("scheme", "bundle"), [("http", False), ("https", False), ("https", True)])
def test_no_descriptor_for_a_connection(
    scheme: str, bundle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bundle:
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    done = run(WITHOUT_DESCRIPTORS, f"{scheme}://127.0.0.1:1/account/vhds/x.vhd?{SAS}")
    assert done.stdout.startswith("ResourceLimitError: no file or connection"), done.stderr


WITHOUT_MEMORY = """
import resource, sys
from vhdtools.cli import main
from vhdtools.cli.upload import upload
from vhdtools.transfer import api
from vhdtools.target import blob_session, destination
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + (1 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
main(["upload", sys.argv[1], f"file:{sys.argv[2]}"])
"""


def test_no_memory_is_no_bug(tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", dynamic("A" * PER_MIB * 8))
    done = run(WITHOUT_MEMORY, str(disk), str(tmp_path / "copy.vhd"))
    assert done.returncode == 1
    assert "Raise the limit" in done.stderr
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr
