"""Writes the lists of packaged files into CMakeLists.txt: `python -m Testing.packaging.update_lists`.

Packaged is what git tracks in JointRegSegLib and Resources, without the pictures that only the README shows.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2]
LISTS = SOURCES / "CMakeLists.txt"
BEGIN, END = "# lists: begin\n", "# lists: end\n"
NOT_PACKAGED = "Resources/Screenshots/"


def packaged_files() -> list[str]:
    """The files of the library and the resources, relative to the repository, sorted."""
    command = ["git", "ls-files", "--", "JointRegSegLib", "Resources"]
    tracked = subprocess.run(command, cwd=SOURCES, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(file for file in tracked if not file.startswith(NOT_PACKAGED) and (SOURCES / file).is_file())


def with_lists(text: str, files: list[str]) -> str:
    """The CMake text with its two lists replaced by these files."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    scripts = [file for file in files if file.endswith(".py")]
    resources = [file for file in files if not file.endswith(".py")]
    lists = _set("LIBRARY_SCRIPTS", scripts) + _set("LIBRARY_RESOURCES", resources)
    return before + BEGIN + lists + END + after


def _set(name: str, files: list[str]) -> str:
    return "\n".join([f"set({name}", *(f"  {file}" for file in files), "  )\n"])


def main() -> None:
    """Rewrite CMakeLists.txt."""
    text = LISTS.read_text(encoding="utf-8")
    LISTS.write_text(with_lists(text, packaged_files()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
