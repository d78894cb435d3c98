"""Every remedy does what it says: each command that is shown for a disk is run, as it stands.

The commands are taken out of the messages by their backquotes, and run by a shell in a copy of the
disk's folder. Afterwards the finding is gone, or there is a new file without errors. What has a
word in capitals to be filled in is only parsed.

Beside the fixtures, the samples of a corpus are tried: in the folder that VHDTOOLS_CORPUS names, or
in shared/corpus beside the project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.disks import SAMPLE_DISKS, unpack
from vhdtools.cli import main

PROJECT = Path(__file__).parents[1]
PROGRAMS = {
    "vhdtool",
    "qemu-img",
    "head",
    "tar",
    "unzip",
    "cp",
    "xz",
    "gzip",
    "bzip2",
    "zstd",
    "lz4",
}
_COMMAND = re.compile(r"`([^`]*)`")
_TO_FILL_IN = re.compile(r"\s(FILE|FOLDER)\b")
_DEPTH = 3


def corpus() -> Path | None:
    """The packed corpus, where there is one."""
    named = os.environ.get("VHDTOOLS_CORPUS")
    folders = [Path(named)] if named else [PROJECT.parent / "shared" / "corpus"]
    return next((path for path in (f / "corpus.tar.xz" for f in folders) if path.exists()), None)


_SHARDS = 8


@pytest.fixture(scope="session")
def corpus_samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The disks of the corpus, unpacked; none where there is no corpus."""
    packed = corpus()
    if packed is None:
        return []
    folder = tmp_path_factory.mktemp("corpus")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return sorted(path for path in folder.rglob("*") if path.suffix in {".vhd", ".raw"})


@dataclass(frozen=True)
class Advice:
    """A command shown for a disk, about the finding `code` ("" for an error's)."""

    code: str
    command: str


@pytest.mark.parametrize("name", sorted(SAMPLE_DISKS))
def test_every_remedy_for_a_fixture_works(name: str, tmp_path: Path) -> None:
    assert list(failures(unpack(name, tmp_path / "disks"), tmp_path)) == []


@pytest.mark.parametrize("shard", range(_SHARDS))
def test_every_remedy_for_the_corpus_works(
    shard: int, corpus_samples: list[Path], tmp_path: Path
) -> None:
    for path in corpus_samples[shard::_SHARDS]:
        assert list(failures(path, tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("field/N1-fixed-extended-1M.vhd", "head -c"),
        ("field/V3-dirty-log.vhdx", "cp "),
        ("field/badfoot.vhd", "vhdtool repair"),
        ("field/B436-type4-noparent.vhd", "qemu-img convert"),
    ],
)
def test_commands_are_taken_out_of_the_messages(name: str, command: str, tmp_path: Path) -> None:
    shown = advices(unpack(name, tmp_path))
    assert any(advice.command.startswith(command) for advice in shown)


def failures(path: Path, folder: Path) -> Iterator[str]:
    """What is wrong with the commands that are shown for a disk."""
    for number, advice in enumerate(sorted(advices(path), key=lambda one: one.command)):
        copied = folder / f"{path.name}-{number}"
        for why in problems(advice, path, copied, 0):
            yield f"{path.name}: {advice.code}: {advice.command}: {why}"
        shutil.rmtree(copied, ignore_errors=True)


def advices(path: Path) -> set[Advice]:
    """All commands that inspect, upload, verify and repair show for a disk."""
    shown = {
        Advice(finding["code"], command)
        for finding in findings(path)
        for text in (finding["message"], finding["remedy"])
        for command in _COMMAND.findall(text)
    }
    target = path.with_name(f"{path.name}.uploaded")
    for words in (
        ["upload", str(path), f"file:{target}", "--dry-run"],
        ["verify", str(path), f"file:{target}"],
        ["repair", str(path)],
    ):
        result = CliRunner().invoke(main, words)
        # A preview, and a comparison with another file, are no remedies: what is refused has them.
        if result.exit_code or words[0] == "repair":
            shown |= {Advice("", command) for command in _COMMAND.findall(result.output)}
    return shown


def findings(path: Path) -> list[dict[str, str]]:
    """What inspection finds, as the command tells it."""
    output = CliRunner().invoke(main, ["inspect", "--json", str(path)]).stdout
    found: list[dict[str, str]] = json.loads(output)["findings"]
    return found


def problems(advice: Advice, path: Path, copied: Path, depth: int) -> Iterator[str]:
    """What is wrong with a command: nothing, if it does what it says."""
    words = advice.command.split()
    if words[0] not in PROGRAMS:
        yield "no program that is known"
        return
    if _TO_FILL_IN.search(advice.command):
        option = next(word for word in words if word.startswith("--"))
        if option not in CliRunner().invoke(main, [words[1], "--help"]).output:
            yield f"{words[1]} has no option {option}"
        return
    shutil.copytree(path.parent, copied, copy_function=copy_sparse)
    moved = copied / path.name
    before = set(copied.iterdir())
    command = advice.command.replace(str(path.parent), str(copied))
    if words[:2] == ["vhdtool", "verify"]:  # there has to be something to compare with
        run_by_a_shell(command.replace("verify", "upload", 1), copied)
    result = run_by_a_shell(command, copied)
    looks = words[:2] == ["vhdtool", "inspect"]  # 1: there are errors, which it was run to see
    if result.returncode and not (looks and result.returncode == 1):
        yield f"exit code {result.returncode}: {result.stdout}{result.stderr}"
        return
    made = [
        made for made in copied.iterdir() if made not in before and ".vhdtools-" not in made.name
    ]
    if made:
        yield from _of_made(made, copied, depth)
    elif words[:2] == ["vhdtool", "repair"] and "--write" in words and advice.code:
        if advice.code in {finding["code"] for finding in findings(moved)}:
            yield "the finding is still there"
    elif not looks and words[0] != "vhdtool":
        yield "nothing was made"


def _of_made(made: list[Path], copied: Path, depth: int) -> Iterator[str]:
    """One of the new files has no errors, or a remedy of its own leads on."""
    reasons = []
    for new in made:
        errors = [finding for finding in findings(new) if finding["level"] == "error"]
        if not errors:
            return
        commands = [c for finding in errors for c in _COMMAND.findall(finding["remedy"])]
        reasons.append(f"{new.name}: {errors[0]['message']}")
        if depth == _DEPTH:
            continue
        for number, command in enumerate(commands):
            further = copied.with_name(f"{copied.name}-{depth}-{number}")
            if not list(problems(Advice(errors[0]["code"], command), new, further, depth + 1)):
                return
    yield f"no new file is without errors: {reasons}"


def copy_sparse(source: str, target: str) -> None:
    """Copy a file, holes as holes."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def run_by_a_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user pastes it, with the project's own vhdtool."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "VHDTOOL_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
