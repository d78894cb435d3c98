"""Whatever goes wrong, by whatever way in: nothing secret is said, kept or left in an exception.

Every class of vhdtools' errors is provoked here, through the library and through the commands.
"""

from __future__ import annotations

import errno
import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient, BlobLeaseClient
from click.testing import CliRunner

import vhdtools
import vhdtools.cli.upload
from tests.pageblob_server import (
    FlipRequest,
    Operation,
    PageBlobServer,
    Refuse,
    Rule,
    ServerOptions,
    WrongChecksum,
    on,
    server_busy,
)
from tests.pageblob_server.errors import ServiceError
from tests.support.build_vhd import Recipe, child_of, place
from tests.support.uploads import dynamic, fixed
from vhdtools import errors
from vhdtools.cli import main
from vhdtools.errors import VhdToolsError
from vhdtools.transfer import RetryPolicy, UploadOptions

SIGNATURE = "S3CRETc2lnbmF0dXJl"
SAS = f"sv=2024-11-04&sr=b&sp=racwdl&se=2999-01-01T00%3A00%3A00Z&sig={SIGNATURE}"
KEY = "S3CRET" + "A" * 80 + "=="
NAME = "disks/disk.vhd"
WORD = ("A" * 32).ljust(1024, "-") * 4
RETRY = RetryPolicy(first_delay=0.001, max_delay=0.005, patience=0.05)


@dataclass(frozen=True)
class Scene:
    """A disk, a service, and a destination at it."""

    server: PageBlobServer
    folder: Path
    disk: Path
    monkeypatch: pytest.MonkeyPatch

    def foul(self, *rules: Rule) -> None:
        self.server.inject(*rules)

    def upload(self, disk: Path | None = None) -> None:
        vhdtools.upload(
            disk or self.disk,
            self.server.blob_url(NAME, SAS),
            options=UploadOptions(retry=RETRY, workers=2),
        )


def usage(_scene: Scene) -> str:
    return "&comp=metadata"


def unrecognized(scene: Scene) -> None:
    scene.disk.write_bytes(b"no disk at all" * 1000)


def damaged(scene: Scene) -> None:
    place(scene.disk, Recipe("A" * 64, header={"cookie": b"nonsense"}))


def unsupported(scene: Scene) -> None:
    place(scene.disk, Recipe("A" * 64, header={"version": 0x0007_0000}))


def orphan(scene: Scene) -> None:
    place(scene.disk, child_of("nowhere.vhd", "-B" * 64))


def unreadable(scene: Scene) -> None:
    scene.disk.unlink()


def changed(scene: Scene) -> None:
    scene.foul(Rule(Refuse(ServiceError(400, "InvalidInput", "No.")), on(Operation.PUT_PAGE), 3))
    with pytest.raises(VhdToolsError):
        scene.upload()
    scene.server.clear_faults()
    place(scene.disk, dynamic("B" + WORD[1:] + "-" * 2048))


def exists(scene: Scene) -> None:
    scene.server.create_blob(NAME, 512)


def missing(scene: Scene) -> None:
    gone = Refuse(ServiceError(404, "ContainerNotFound", f"No container for ?{SAS}"))
    scene.foul(Rule(gone, on(), times=None))


def busy(scene: Scene) -> None:
    scene.foul(Rule(Refuse(ServiceError(400, "InvalidInput", "No.")), on(Operation.PUT_PAGE), 3))
    with pytest.raises(VhdToolsError):
        scene.upload()
    scene.server.clear_faults()
    with BlobClient.from_blob_url(scene.server.blob_url(NAME, SAS)) as blob:
        BlobLeaseClient(blob).acquire(60)


def refused(scene: Scene) -> None:
    told = ServiceError(400, "InvalidInput", f"Not {scene.server.blob_url(NAME, SAS)} with {KEY}")
    scene.foul(Rule(Refuse(told), on(), times=None))


def access(scene: Scene) -> None:
    scene.server.expire_sas(after=3)
    told = {"AuthenticationErrorDetail": f"Signature did not match: {SIGNATURE} of {SAS}"}
    no = ServiceError(403, "AuthenticationFailed", f"for {SAS}", told)
    scene.foul(Rule(Refuse(no), on(), times=None))


def unavailable(scene: Scene) -> None:
    scene.foul(Rule(server_busy(), on(), times=None))


def checksum(scene: Scene) -> None:
    scene.foul(Rule(WrongChecksum(), on(Operation.PUT_PAGE), times=None))


def differs(scene: Scene) -> None:
    scene.foul(Rule(FlipRequest(3, unnoticed=True), on(Operation.PUT_PAGE)))
    scene.upload()


def exhausted(scene: Scene) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    scene.monkeypatch.setattr(socket, "create_connection", fail)


def stopped(_scene: Scene) -> None:
    """The stop is set from the beginning, in the library's entry points alone."""


Provoke = Callable[[Scene], "str | None"]

SCENES: dict[type[VhdToolsError], Provoke] = {
    errors.UsageError: usage,
    errors.UnrecognizedImageError: unrecognized,
    errors.DamagedImageError: damaged,
    errors.UnsupportedImageError: unsupported,
    errors.ParentError: orphan,
    errors.SourceReadError: unreadable,
    errors.SourceChangedError: changed,
    errors.NotUploadableError: damaged,
    errors.TargetExistsError: exists,
    errors.TargetMissingError: missing,
    errors.TargetBusyError: busy,
    errors.TargetRefusedError: refused,
    errors.AccessError: access,
    errors.UnavailableError: unavailable,
    errors.ChecksumError: checksum,
    errors.ResourceLimitError: exhausted,
    errors.VerificationError: differs,
    errors.TransferInterruptedError: stopped,
}


def leaves(kind: type[VhdToolsError] = VhdToolsError) -> Iterator[type[VhdToolsError]]:
    """The classes of the tree that have none below."""
    below = kind.__subclasses__()
    for child in below:
        yield from leaves(child)
    if not below:
        yield kind


def test_every_class_of_errors_is_provoked_here() -> None:
    assert set(SCENES) == set(leaves())


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging as it was, afterwards, and no account in the environment."""
    for name in ("CONNECTION_STRING", "SAS_TOKEN", "KEY", "ACCOUNT", "AUTH_MODE"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    root, ours = logging.getLogger(), logging.getLogger("vhdtools")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with PageBlobServer(ServerOptions()) as server:
        server.create_container("disks")
        disk = place(tmp_path / "disk.vhd", dynamic(WORD + "-" * 2048))
        yield Scene(server, tmp_path, disk, monkeypatch)


def texts_of(error: BaseException) -> Iterator[str]:
    """All that can be seen of an error and of those it came from."""
    yield "".join(traceback.format_exception(error))
    pending: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while pending:
        current = pending.pop()
        if current is None or current in seen:
            continue
        seen.append(current)
        yield from (str(current), repr(current), repr(current.args), repr(vars(current)))
        pending += [current.__cause__, current.__context__]


def assert_silent(text: str) -> None:
    for secret in ("S3CRET", SIGNATURE, KEY):
        assert secret not in text
    assert "sig=" not in text.replace("sig=REDACTED", "").replace("sig=…", "")


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)
def test_the_library_says_nothing_secret(
    kind: type[VhdToolsError], scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = scene.server.blob_url(NAME, SAS) + (SCENES[kind](scene) or "")
    caplog.clear()  # of what other programs said while they set the scene
    stop = threading.Event()
    if kind is errors.TransferInterruptedError:
        stop.set()
    options = UploadOptions(retry=RETRY, workers=2)
    caught = []
    for call in (
        lambda: vhdtools.open(scene.disk).close(),
        lambda: vhdtools.upload(scene.disk, url, options=options, stop=stop),
        lambda: vhdtools.upload(
            scene.disk, NAME, options=options, stop=stop, connection_string=with_key(scene)
        ),
        lambda: vhdtools.verify(scene.disk, url, retry=RETRY, stop=stop),
    ):
        try:
            call()
        except VhdToolsError as error:
            caught.append(type(error))
            for text in texts_of(error):
                assert_silent(text)
    assert kind in caught
    assert_silent(caplog.text)
    assert_silent(repr([record.args for record in caplog.records]))
    assert_silent_blob(scene)


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__)
def test_the_commands_say_nothing_secret(
    kind: type[VhdToolsError],
    scene: Scene,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("VHDTOOL_DEBUG", "1")
    url = scene.server.blob_url(NAME, SAS) + (SCENES[kind](scene) or "")
    caplog.clear()  # of what other programs said while they set the scene
    sas_file = scene.folder / "sas.txt"
    sas_file.write_text(SAS)
    quick = ["--retry-delay", "0.001", "--max-retry-delay", "0.005", "--patience", "0.05"]
    codes = []
    for arguments in (
        ["upload", str(scene.disk), url, *quick],
        ["upload", str(scene.disk), url, "--json", "--no-progress", "--verify", *quick],
        ["upload", str(scene.disk), url, "--dry-run", *quick],
        ["upload", str(scene.disk), NAME, "--connection-string", with_key(scene), *quick],
        [
            *("upload", str(scene.disk), scene.server.blob_url(NAME, None)),
            *("--sas-file", str(sas_file), *quick),
        ],
        ["verify", str(scene.disk), url, "--json", *quick],
        ["inspect", url, *quick],
    ):
        found = CliRunner().invoke(main, ["-vv", *arguments])
        codes.append(found.exit_code)
        assert_silent(found.output)
        assert "a bug" not in found.output
    stops_only = kind is errors.TransferInterruptedError
    assert any(codes) or stops_only
    assert_silent(caplog.text)
    assert_silent_blob(scene)


@pytest.mark.parametrize("arguments", [[], ["-vv"]])
def test_a_bug_says_nothing_secret(
    arguments: list[str], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = scene.server.blob_url(NAME, SAS)

    def fail(*_arguments: object, **_options: object) -> None:
        try:
            raise LookupError(f"nothing at {url}")
        except LookupError as error:
            raise ValueError(f"not {with_key(scene)}") from error

    monkeypatch.setattr(vhdtools.cli.upload, "upload_disk", fail)
    found = CliRunner().invoke(main, [*arguments, "upload", str(scene.disk), url])
    assert found.exit_code == 1
    assert "this is a bug" in found.stderr
    assert ("Traceback" in found.stderr) == bool(arguments)
    assert_silent(found.output)


def test_a_result_says_nothing_secret(scene: Scene) -> None:
    url = scene.server.blob_url(NAME, SAS)
    result = vhdtools.upload(place(scene.disk, fixed(WORD)), url)
    assert_silent(repr(result) + str(result))
    assert_silent(repr(vhdtools.verify(scene.disk, url)))
    target = vhdtools.open_target(url)
    assert_silent(repr(target) + target.name + repr(target.state()))
    target.close()
    found = CliRunner().invoke(main, ["-vv", "upload", str(scene.disk), url, "--json"])
    assert_silent(found.output)
    assert_silent_blob(scene)


def with_key(scene: Scene) -> str:
    """A connection string with a key that is a secret."""
    parts = scene.server.connection_string.split(";")
    return ";".join(f"AccountKey={KEY}" if "AccountKey" in part else part for part in parts)


def assert_silent_blob(scene: Scene) -> None:
    blob = scene.server.blob(NAME)
    if blob.exists:
        assert_silent(json.dumps(blob.metadata) + repr(dict(blob.properties)))
