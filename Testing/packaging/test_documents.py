"""The documents keep up with the code: every error is explained, every link and command leads somewhere."""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from JointRegSegLib import cli
from JointRegSegLib.job import Code
from JointRegSegLib.job.result import FILES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "JointRegSegLib").rglob("*.py")))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_every_error_has_its_row_of_troubleshooting(code: Code) -> None:
    rows = [line for line in README.splitlines() if line.startswith(f"| `{code.value}`<br>")]
    assert len(rows) == 1
    assert all(cell.strip() for cell in rows[0].strip("|").split("|"))


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_messages_read_as_troubleshooting_says(code: Code) -> None:
    """What the table quotes of a message, between the places where values stand, is in the sources."""
    row = next(line for line in README.splitlines() if line.startswith(f"| `{code.value}`<br>"))
    quoted = row.split("<br>")[1].split(" | ")[0]
    parts = [part.strip(" ,:-") for part in re.split(r"…| / ", quoted)]
    assert any(len(part) > 4 for part in parts)
    assert [part for part in parts if part not in SOURCES] == []


def test_every_file_of_a_result_is_described() -> None:
    assert [name for name in FILES if f"`{name}`" not in README] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_every_make_target_of_the_documents_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    targets = set(re.findall(r"`make ([a-z]+)", text)) | set(re.findall(r"^make ([a-z]+)", text, re.MULTILINE))
    assert {"demo", "test"} <= targets
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [name for name in sorted(targets) if f"\n{name}:" not in makefile] == []


def options(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Each option of the command line, with the command that has it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from options(below, command or name)
        elif command and action.option_strings and action.option_strings[-1] != "--help":
            yield command, action


def test_every_flag_is_in_the_shells_page() -> None:
    """In a row of its command, or of what commands share, with all its choices; and no row has another flag."""
    page = (ROOT / "docs" / "shell.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    told, lacking = set(), []
    for command, action in options(cli.parser()):
        titles = [command, "What all commands share", *(["run and batch"] if command in ("run", "batch") else [])]
        rows = [row for title in titles for row in sections[title].splitlines() if row.startswith("| `--")]
        flag = action.option_strings[-1]
        own = [row for row in rows if re.search(rf"`{flag}[ `]", row.split(" | ")[0])]
        told.update((title, flag) for title in titles)
        if not any(all(f"`{choice}`" in row for choice in action.choices or ()) for row in own):
            lacking.append(f"{command} {flag}")
    assert lacking == []
    heads = [(t, row.split(" | ")[0]) for t, text in sections.items() for row in text.splitlines() if "| `--" in row]
    assert [(t, f) for t, head in heads for f in re.findall(r"`(--[a-z-]+)", head) if (t, f) not in told] == []


def test_a_built_environment_is_left_alone() -> None:
    if not (ROOT / ".venv/.built-from").is_file():
        pytest.skip("this environment was not built by make env")
    before = (ROOT / ".venv/.built-from").stat().st_mtime_ns
    subprocess.run([ROOT / ".ci/environment"], check=True, timeout=5)
    assert (ROOT / ".venv/.built-from").stat().st_mtime_ns == before
