"""The documents keep up with the code: every error is explained, every link and command leads somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

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


def test_a_built_environment_is_left_alone() -> None:
    if not (ROOT / ".venv/.built-from").is_file():
        pytest.skip("this environment was not built by make env")
    before = (ROOT / ".venv/.built-from").stat().st_mtime_ns
    subprocess.run([ROOT / ".ci/environment"], check=True, timeout=5)
    assert (ROOT / ".venv/.built-from").stat().st_mtime_ns == before
