"""What PythonQt does not forgive and the stand-ins might: read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2]
FILES = [SOURCES / "JointRegSeg" / "JointRegSeg.py", *sorted((SOURCES / "JointRegSegLib" / "panel").glob("*.py"))]
PROPERTIES = {
    "checked",
    "currentIndex",
    "currentText",
    "enabled",
    "height",
    "maximum",
    "minimum",
    "objectName",
    "text",
    "toolTip",
    "value",
    "visible",
    "width",
}
FOR_QT_CLASSES = {"Property", "Signal", "Slot"}
IN_SLICER = [file for room in ("panel", "scene") for file in sorted((SOURCES / "JointRegSegLib" / room).glob("*.py"))]


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def tree(request: pytest.FixtureRequest) -> ast.Module:
    return ast.parse(request.param.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def test_qt_properties_are_not_called(tree: ast.Module) -> None:
    called = [
        f"line {node.lineno}: .{node.func.attr}()"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and not node.args  # as QSettings.value(key) has, which is no property
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in PROPERTIES
    ]
    assert called == []


def test_no_other_binding_of_qt_is_imported(tree: ast.Module) -> None:
    bindings = [name for name in imports(tree) if name.startswith(("PySide", "PyQt", "shiboken"))]
    assert bindings == []


def test_no_qt_signals_or_slots_are_defined(tree: ast.Module) -> None:
    used = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "qt"
        and node.attr in FOR_QT_CLASSES
    ]
    assert used == []


def test_pip_installs_one_small_package_alone(request: pytest.FixtureRequest, tree: ast.Module) -> None:
    """PyTorch is never installed with pip_install, which may take the wrong build for the graphics card."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("pip_")
    ]
    if "packages.py" not in request.node.name:
        assert calls == []
    for call in calls:
        assert isinstance(call.args[0], ast.Name)
        assert call.args[0].id == "requirement"


def test_qt_is_given_no_keyword_arguments(tree: ast.Module) -> None:
    named = [
        f"line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("qt", "ctk")
        and node.keywords
    ]
    assert named == []


def test_the_module_file_is_no_command_line_program() -> None:
    """Slicer takes a Python file that begins with #! for one."""
    assert not FILES[0].read_text(encoding="utf-8").startswith("#!")


def test_nothing_of_the_product_talks_to_a_network() -> None:
    """`socket` names this computer in lock files; the cohort's cluster is Dask's business."""
    libraries = {"aiohttp", "ftplib", "http", "httpx", "requests", "smtplib", "ssl", "urllib", "urllib3", "xmlrpc"}
    calls = {"create_connection", "downloadFile", "socketpair", "urlopen", "urlretrieve"}
    files = [*FILES[:1], *sorted((SOURCES / "JointRegSegLib").rglob("*.py"))]
    found = []
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        used = {name.split(".")[0] for name in imports(tree)} & libraries | names & calls
        found += [f"{file.name}: {each}" for each in sorted(used)]
    assert found == []


@pytest.mark.parametrize("file", IN_SLICER, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_names_of_nodes_and_errors_made_in_slicer_can_be_translated(file: Path) -> None:
    bare = [
        f"line {argument.lineno}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in {"AddNewNodeByClass", "JobError", "SetTitle", "SetXAxisTitle"}
        for argument in node.args
        if isinstance(argument, ast.JoinedStr) or (isinstance(argument, ast.Constant) and " " in str(argument.value))
    ]
    assert bare == []
