"""The panel's section for several atlases and several targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from ..job import JobError
from ..library.manifest import MANIFEST, Library
from ..library.opening import open_library
from . import tables
from .background import Background
from .entries import IMAGE, LABELS, MASK, POINTS, TABLE, Entry, EntryList
from .telling import tell

_SCANS = "*.nii *.nii.gz *.nrrd *.mha *.mhd"


class ListsSection:
    """Shows the lists of atlases and targets, and lets the user add to them and take away.

    Args:
        ui: the panel's widgets by name.
        on_change: called when a list was changed in the background.
        on_show_target: called with a target's key when the user clicks it.
    """

    def __init__(self, ui: Any, on_change: Callable[[], None], on_show_target: Callable[[str], None]) -> None:
        self._ui = ui
        self._on_change = on_change
        self._on_show_target = on_show_target
        self._parameters: Any = None
        self._background = Background()
        tables.set_up(ui.atlasTable, [_("Atlas"), _("Labels"), _("Points")])
        tables.set_up(ui.targetTable, [_("Target"), _("Status")])
        ui.addAtlasButton.connect("clicked(bool)", self._on_add_atlas)
        ui.addAtlasFilesButton.connect("clicked(bool)", self._on_add_files)
        ui.addLibraryButton.connect("clicked(bool)", self._on_add_library)
        ui.removeAtlasButton.connect("clicked(bool)", self._on_remove_atlas)
        ui.addTargetButton.connect("clicked(bool)", self._on_add_target)
        ui.removeTargetButton.connect("clicked(bool)", self._on_remove_target)
        ui.targetTable.connect("cellClicked(int,int)", self._on_click_target)

    def watch(self, parameters: Any) -> None:
        """Keep the lists in this parameter node from now on; None keeps them nowhere."""
        self._parameters = parameters

    def close(self) -> None:
        """Hear nothing any more."""
        self._background.close()

    def update(self, status: Mapping[str, str], is_running: bool) -> None:
        """Make the section show what is true now.

        Args:
            status: how far each target is, by its key.
            is_running: whether a run goes on, so that its targets must stay.
        """
        ui = self._ui
        atlases, targets = _entries(self._parameters, "atlasList"), _entries(self._parameters, "targetList")
        tables.fill(ui.atlasTable, [(e.key, (_shown(e), _part(e, LABELS), _part(e, POINTS))) for e in atlases])
        tables.fill(ui.targetTable, [(e.key, (_shown(e), status.get(e.key, ""))) for e in targets])
        ui.listsLabel.text = _explain(len(atlases), len(targets))
        p = self._parameters
        ui.addAtlasButton.enabled = p is not None and p.atlasVolume is not None and p.atlasLabels is not None
        ui.addTargetButton.enabled = p is not None and p.targetVolume is not None
        ui.addLibraryButton.enabled = not self._background.is_busy
        ui.removeAtlasButton.enabled = bool(atlases)
        ui.removeTargetButton.enabled = bool(targets) and not is_running

    def _on_add_atlas(self, checked: bool = False) -> None:
        p = self._parameters
        EntryList(p, "atlasList").add(
            {IMAGE: p.atlasVolume, LABELS: p.atlasLabels, MASK: p.atlasMask, POINTS: p.atlasPoints}
        )

    def _on_add_target(self, checked: bool = False) -> None:
        p = self._parameters
        EntryList(p, "targetList").add({IMAGE: p.targetVolume, MASK: p.targetMask, POINTS: p.targetPoints})

    def _on_add_files(self, checked: bool = False) -> None:
        scans, maps = _("Scans ({endings})"), _("Labels ({endings})")
        title = _("The scan of the atlas")
        image = qt.QFileDialog.getOpenFileName(None, title, "", scans.format(endings=_SCANS))
        if not image:
            return
        title = _("The labels of {name}").format(name=Path(image).name)
        labels = qt.QFileDialog.getOpenFileName(None, title, str(Path(image).parent), maps.format(endings=_SCANS))
        if labels:
            EntryList(self._parameters, "atlasList").add({IMAGE: Path(image), LABELS: Path(labels)}, Path(image).name)

    def _on_add_library(self, checked: bool = False) -> None:
        title, kinds = _("An atlas library"), _("Atlas libraries ({name} *.zip)").format(name=MANIFEST)
        chosen = qt.QFileDialog.getOpenFileName(None, title, "", kinds)
        if chosen:
            path = Path(chosen)
            place = path.parent if path.name == MANIFEST else path
            self._background.start(lambda: open_library(place), self._add_library)
            self._on_change()

    def _add_library(self, library: Library | None, error: JobError | None) -> None:
        if library is not None and self._parameters is not None:
            EntryList(self._parameters, "atlasList").extend(
                ({IMAGE: atlas.image, LABELS: atlas.labels, TABLE: atlas.table}, atlas.name)
                for atlas in library.atlases
            )
        if error is not None:
            tell(error)
        self._on_change()

    def _on_remove_atlas(self, checked: bool = False) -> None:
        EntryList(self._parameters, "atlasList").remove(tables.selected_keys(self._ui.atlasTable))

    def _on_remove_target(self, checked: bool = False) -> None:
        EntryList(self._parameters, "targetList").remove(tables.selected_keys(self._ui.targetTable))

    def _on_click_target(self, row: int, column: int) -> None:
        self._on_show_target(tables.key_at(self._ui.targetTable, row))


def _entries(parameters: Any, name: str) -> tuple[Entry, ...]:
    return () if parameters is None else EntryList(parameters, name).entries


def _shown(entry: Entry) -> str:
    if entry.is_whole:
        return entry.name
    return _("{name} (was deleted)").format(name=entry.name) if entry.name else _("(was deleted)")


def _part(entry: Entry, role: str) -> str:
    part = entry.parts.get(role)
    if part is None:
        return ""
    return part.name if isinstance(part, Path) else str(part.GetName())


def _explain(atlases: int, targets: int) -> str:
    with_atlases = (
        _("The next run uses the atlases of the list ({count})").format(count=atlases)
        if atlases
        else _("The next run uses the atlas chosen above")
    )
    with_targets = (
        _("on the targets of the list ({count}), one after the other.").format(count=targets)
        if targets
        else _("on the target chosen above.")
    )
    return f"{with_atlases}, {with_targets}"
