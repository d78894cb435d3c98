"""Every remedy for an answer of the service can be pasted as it stands."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import click
import pytest

import vhdtools
from vhdtools.cli import main
from vhdtools.target import remedies
from vhdtools.target.access_meanings import ACCESS_CODES, ACCESS_DETAILS
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.denial import Attempt, why_denied
from vhdtools.target.service_errors import command_names
from vhdtools.target.service_meanings import BY_CODE, BY_STATUS, FAILING, UNCONFIRMED

PACKAGE = Path(vhdtools.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NOW = datetime(2024, 5, 17, 12, 0, tzinfo=timezone.utc)
ACCOUNT = "https://acct.blob.core.windows.net"
PLACES = (
    BlobAddress(ACCOUNT, "vhds", "disk.vhd"),
    BlobAddress(ACCOUNT, "$root", "it's a $HOME disk.vhd"),
    BlobAddress(ACCOUNT, "vhds", "a/-b"),
    BlobAddress("http://127.0.0.1:10000/devstoreaccount1", "vhds", ".vhd"),
)

_PLACE = {"--account-name", "--auth-mode", "--connection-string"}
_BLOB = _PLACE | {"--container-name", "--name"}
_DISK = {"--resource-group", "--name"}

# Sub-commands and options of the Azure CLI, after its reference.
AZ: dict[str, set[str]] = {
    "login": set(),
    "account list": {"--query", "--output"},
    "disk create": _DISK | {"--upload-type", "--upload-size-bytes"},
    "disk revoke-access": _DISK,
    "disk grant-access": _DISK | {"--access-level", "--duration-in-seconds"},
    "storage account create": {"--name", "--resource-group", "--kind", "--sku"},
    "storage account show": {"--name", "--query"},
    "storage blob download": _BLOB | {"--file"},
    "storage blob generate-sas": _BLOB
    | {"--as-user", "--permissions", "--expiry", "--full-uri", "--output"},
    "storage blob list": _PLACE | {"--container-name", "--prefix", "--include", "--output"},
    "storage blob set-tier": _BLOB | {"--tier"},
    "storage blob show": _BLOB | {"--query"},
    "storage container create": _PLACE | {"--name"},
    "storage container policy show": _PLACE | {"--container-name", "--name"},
    "storage container show": _PLACE | {"--name", "--query"},
    "vm list": {"--query", "--output"},
}


def _reasons() -> Iterator[str]:
    """The remedies that evidence gives."""
    url = f"{ACCOUNT}/vhds/x?sv=1"
    cases: list[tuple[str, dict[str, str] | None]] = [
        ("", {"se": "2020-01-01"}),
        ("", {"st": "2030-01-01"}),
        ("", {"sp": "x"}),
        ("", {"sip": "10.0.0.1"}),
        ("AuthorizationSourceIPMismatch", {"sip": "10.0.0.1"}),
        ("AuthorizationFailure", {"sp": "racw"}),
        ("", {"si": "it's {mine}"}),
    ]
    for code, sas in cases:
        reason = why_denied(Attempt("HEAD", url, NOW, sas), code, "no", NOW)
        assert reason is not None
        yield reason.remedy


def remedies_of_all() -> list[str]:
    meanings = [
        *BY_CODE.values(),
        *BY_STATUS.values(),
        *ACCESS_CODES.values(),
        *(meaning for _, meaning in ACCESS_DETAILS),
        FAILING,
        UNCONFIRMED,
    ]
    texts = [getattr(remedies, name) for name in remedies.__all__ if name.isupper()]
    return sorted({meaning.remedy for meaning in meanings} | {*texts, *_reasons()})


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.url)
@pytest.mark.parametrize("remedy", remedies_of_all())
def test_commands_can_be_pasted(remedy: str, place: BlobAddress) -> None:
    text = remedy.format(**command_names(place, NOW))
    prose, commands = re.sub("`[^`]*`", "", text), re.findall("`([^`]*)`", text)
    assert "`" not in prose
    # No command stands outside of backquotes, where a full stop would be glued to it.
    assert not re.search(r"\b(az|azcopy|vhdtool|qemu-img) [a-z]", prose)
    for command in commands:
        words = shlex.split(command)
        if words[0] == "vhdtool":
            _check_ours(words[1:])
        else:
            assert words[0] == "az"
            _check_az(words[1:])


_AZ_COMMAND = re.compile(r"\baz (account|disk|login|storage|vm)\b")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_text_has_a_command_outside_of_backquotes(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if id(node) in docstrings or not isinstance(node, (ast.Constant, ast.JoinedStr)):
            continue
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        texts = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
        whole = "".join(text for text in texts if isinstance(text, str))
        is_pattern = "|" in whole
        # The parts of a joined text come alone, too: those have one backquote of a pair.
        if whole.count("`") % 2 == 0 and not is_pattern:
            assert not _AZ_COMMAND.search(re.sub("`[^`]*`", "", whole)), whole


def _check_az(words: list[str]) -> None:
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    options = AZ[" ".join(words[:first])]
    rest = words[first:]
    while rest:
        name, equals, _ = rest.pop(0).partition("=")
        assert name in options
        if not equals and rest and not rest[0].startswith("--"):
            rest.pop(0)


def _check_ours(words: list[str]) -> None:
    assert isinstance(main, click.Group)
    context = click.Context(main, info_name="vhdtool")
    command = main.get_command(context, words[0])
    assert command is not None
    command.make_context(words[0], words[1:], parent=context).close()


def test_what_a_shell_would_take_for_its_own_is_quoted() -> None:
    names = command_names(PLACES[1], NOW)
    assert names["container"] == "'$root'"
    assert shlex.split(names["blob"]) == ["it's a $HOME disk.vhd"]
    assert "\\$root" in names["vm_query"]


def test_the_other_name_is_another() -> None:
    assert command_names(PLACES[0])["new_url"] == f"{ACCOUNT}/vhds/disk-page.vhd"
    assert command_names(PLACES[2])["new_url"] == f"{ACCOUNT}/vhds/a/-b-page"
    assert command_names(PLACES[2])["file"] == "./-b"


def test_nobody_is_told_to_break_a_lease_or_to_delete_a_blob() -> None:
    for remedy in remedies_of_all():
        assert "lease break" not in remedy
        assert "blob delete" not in remedy
