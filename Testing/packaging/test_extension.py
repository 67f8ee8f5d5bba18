"""The extension's package: what CMake installs, and that it works from there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.packaging.update_lists import LISTS, SOURCES, packaged_files, with_lists
from Testing.rig.need import need, need_program

STUB = SOURCES / "Testing" / "rig" / "slicer_cmake"
UPDATE = "Run `python -m Testing.packaging.update_lists`, then commit CMakeLists.txt."
IMPORT_FROM_INSTALLED = """
import sys
from pathlib import Path
sys.path.insert(0, {sources!r})
from Testing.rig import gui
from Testing.rig.mrml import Rig
rig = Rig(Path({folder!r}))
gui.install()
import slicer
gui.add_events(slicer.app)
sys.path.remove({sources!r})
installed = Path({installed!r})
module = gui.load_module(installed / "JointRegSeg.py")
module.JointRegSeg(gui.module_parent(installed / "JointRegSeg.py"))
widget = gui.open_widget(module)
import JointRegSegLib.panel.widget
assert Path(JointRegSegLib.__file__).is_relative_to(installed), JointRegSegLib.__file__
assert Path(module.resourcePath("UI/JointRegSeg.ui")).is_relative_to(installed)
gui.close_widget(widget)
"""


def run(*command: str, folder: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where Slicer would find the installed extension's modules."""
    cmake = need_program("cmake", "cmake")
    folder = tmp_path_factory.mktemp("package")
    source, build, prefix = str(SOURCES), str(folder / "build"), str(folder / "installed")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={STUB / 'no_compiler.cmake'}"
    run(cmake, "-S", source, "-B", build, f"-DSlicer_DIR={STUB}", toolchain, folder=folder)
    run(cmake, "--install", build, "--prefix", prefix, folder=folder)
    return next(Path(prefix).glob("lib/Slicer-*/qt-scripted-modules"))


def test_the_lists_hold_every_file() -> None:
    text = LISTS.read_text(encoding="utf-8")
    files = packaged_files()
    listed = re.findall(r"^  ((?:JointRegSegLib|Resources)/\S+)$", text, re.MULTILINE)
    lacking, surplus = sorted(set(files) - set(listed)), sorted(set(listed) - set(files))
    assert (lacking, surplus) == ([], []), f"CMakeLists.txt lacks {lacking} and should not have {surplus}. {UPDATE}"
    assert with_lists(text, files) == text, UPDATE


@pytest.mark.package
def test_the_installed_tree_is_what_git_tracks(installed: Path) -> None:
    found = sorted(file.relative_to(installed).as_posix() for file in installed.rglob("*") if file.is_file())
    assert found == sorted(["JointRegSeg.py", *packaged_files()])


@pytest.mark.package
@pytest.mark.gui
def test_the_installed_module_opens(installed: Path, tmp_path: Path) -> None:
    need("slicer", "slicer-core")
    need("PySide6.QtWidgets", "PySide6-Essentials")
    (tmp_path / "rig").mkdir()
    script = IMPORT_FROM_INSTALLED.format(sources=str(SOURCES), folder=str(tmp_path / "rig"), installed=str(installed))
    run(sys.executable, "-c", script, folder=tmp_path)


@pytest.mark.package
def test_a_listed_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """Else the comparison above would prove nothing."""
    cmake = need_program("cmake", "cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16.3...3.28)\nproject(Sample NONE)\nfind_package(Slicer REQUIRED)\n"
        "include(${Slicer_USE_FILE})\nslicerMacroBuildScriptedModule(NAME Sample SCRIPTS Lost.py)\n",
        encoding="utf-8",
    )
    command = [cmake, "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DSlicer_DIR={STUB}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "Lost.py does not exist" in done.stderr


def cmake_value(name: str) -> str:
    """A value that the extensions catalog reads from CMakeLists.txt, read in its way: one line, a quoted string."""
    found = re.search(rf'^set\({name}\s+"([^"]*)"\)', LISTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, f"{name} is not set in one line"
    return found[1]


def catalog_entry() -> dict[str, object]:
    entry: dict[str, object] = json.loads((SOURCES / "JointRegSeg.json").read_text(encoding="utf-8"))
    return entry


def test_the_catalog_entry_has_the_schemas_keys_and_types() -> None:
    entry = catalog_entry()
    types = {
        "$schema": str,
        "build_dependencies": list,
        "build_subdirectory": str,
        "category": str,
        "scm_revision": str,
        "scm_url": str,
        "tier": int,
    }
    assert {key: type(value) for key, value in entry.items()} == types
    assert str(entry["$schema"]).endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["tier"] in range(1, 6)
    assert entry["category"] == "Registration"


def test_the_catalog_entry_ends_lines_as_the_index_wants() -> None:
    assert b"\r" not in (SOURCES / "JointRegSeg.json").read_bytes()


def test_names_agree() -> None:
    """Of project, catalog entry, module file and repository; the extension's own does not begin with Slicer."""
    project = re.search(r"^project\((\w+)\)", LISTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert project is not None
    assert project[1] == "JointRegSeg"
    assert (SOURCES / "JointRegSeg" / f"{project[1]}.py").is_file()
    assert re.fullmatch(r"https://github\.com/[\w-]+/SlicerJointRegSeg", str(catalog_entry()["scm_url"]))
    assert cmake_value("EXTENSION_HOMEPAGE") == catalog_entry()["scm_url"]


def test_dependencies_agree() -> None:
    assert cmake_value("EXTENSION_DEPENDS").split() == catalog_entry()["build_dependencies"]


def test_pictures_of_the_catalog_are_in_the_repository() -> None:
    for name in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        url = cmake_value(name)
        assert url.startswith("https://raw.githubusercontent.com/JointRegSeg/SlicerJointRegSeg/main/")
        assert (SOURCES / url.split("/main/")[1]).is_file(), url


def test_the_description_is_one_or_two_sentences() -> None:
    description = cmake_value("EXTENSION_DESCRIPTION")
    assert 1 <= len(re.findall(r"\.(?:\s|$)", description)) <= 2
    assert description.endswith(".")


def test_the_licence_is_in_the_root() -> None:
    assert "Apache License" in (SOURCES / "LICENSE.txt").read_text(encoding="utf-8")
