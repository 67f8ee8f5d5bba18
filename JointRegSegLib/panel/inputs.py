"""The scans and choices of a run, and why they cannot be run yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import slicer
from slicer.i18n import tr as _

from ..job import Code, Device, JobError, LandmarkUse, Quality, Refinement, Similarity
from ..job.fusion import Fusion
from ..job.request import OPTIMISATION, START_AS_PLACED, START_AUTO
from ..library.models import Installed
from ..scene import AtlasSource, Changes
from ..scene.translation import quoted
from .entries import IMAGE, LABELS, MASK, POINTS, TABLE, EntryList

START_WORDS = (START_AUTO, START_AS_PLACED)

Choice = TypeVar("Choice", bound=Enum)


@dataclass(frozen=True)
class Inputs:
    """What a run on one target is made of.

    Nodes are MRML nodes or None; `start` is "auto", "as-placed" or a transform node.

    Attributes:
        model: the installed model that registers, or None for the optimization.
        key: of the target in the list of targets; empty for the one chosen alone.
        changes: what the user corrected in the result in `continue_from`, where this run goes on from there.
    """

    atlases: tuple[AtlasSource, ...] = ()
    target: Any = None
    target_mask: Any = None
    target_points: Any = None
    landmark_use: LandmarkUse = LandmarkUse.CONSTRAIN
    quality: Quality = Quality.NORMAL
    similarity: Similarity = Similarity.AUTO
    device: Device = Device.AUTO
    start: Any = START_AUTO
    seed: int = 0
    model: Installed | None = None
    refinement: Refinement = Refinement.AUTO
    fusion: Fusion = Fusion.AUTO
    most_atlases: int | None = None
    key: str = ""
    changes: Changes | None = None
    continue_from: Path | None = None

    @classmethod
    def of_parameters(cls, parameters: Any, model: Installed | None = None) -> tuple[Inputs, ...]:
        """The choices that a parameter node holds, one for each target, with the model that it names."""
        from_transform = parameters.start.name == "TRANSFORM"
        common = cls(
            atlases=_atlases(parameters),
            target=parameters.targetVolume,
            target_mask=parameters.targetMask,
            target_points=parameters.targetPoints,
            landmark_use=LandmarkUse(parameters.landmarkUse.value),
            quality=Quality(parameters.quality.value),
            similarity=Similarity(parameters.similarity.value),
            device=Device(parameters.device.value),
            start=parameters.startTransform if from_transform else parameters.start.value,
            seed=parameters.seed,
            model=model,
            refinement=Refinement(parameters.refinement.value),
            fusion=Fusion(parameters.fusion.value),
            most_atlases=parameters.mostAtlases or None,
        )
        targets = EntryList(parameters, "targetList").entries
        if not targets:
            return (common,)
        return tuple(
            replace(
                common,
                target=entry.parts[IMAGE],
                target_mask=entry.parts.get(MASK),
                target_points=entry.parts.get(POINTS),
                key=entry.key,
            )
            for entry in targets
        )

    @property
    def method(self) -> str:
        """As `Request.method`."""
        return OPTIMISATION if self.model is None or self.model.card is None else self.model.card.method

    @property
    def nodes(self) -> tuple[Any, ...]:
        """All of these that lie in the scene."""
        of_atlases = [part for atlas in self.atlases for part in (atlas.image, atlas.labels, atlas.mask, atlas.points)]
        given = (*of_atlases, self.target, self.target_mask, self.target_points, self.start)
        return tuple(part for part in given if isinstance(part, slicer.vtkMRMLNode))

    @property
    def files(self) -> tuple[Path, ...]:
        """All of these that lie on disk."""
        given = [part for atlas in self.atlases for part in (atlas.image, atlas.labels, atlas.table)]
        model = self.model.path if self.model is not None else None
        return tuple(part for part in (*given, model) if isinstance(part, Path))

    def deleted(self) -> list[str]:
        """Names of the nodes that the scene does not hold any more."""
        return [node.GetName() for node in self.nodes if slicer.mrmlScene.GetNodeByID(node.GetID() or "") is not node]

    def deleted_for_refining(self) -> list[str]:
        """As `deleted`, of what a run that goes on from a result of these needs; the start is not among it."""
        return replace(self, start=START_AUTO).deleted()

    def has_scans_of(self, other: Inputs) -> bool:
        """Whether these are the same atlases and the same target."""
        return [self.target, *(atlas.image for atlas in self.atlases)] == [
            other.target,
            *(atlas.image for atlas in other.atlases),
        ]

    def refined(self, changes: Changes, result: Path) -> Inputs:
        """These, to go on from a result as the user corrected it; the optimization does that, and needs no start."""
        kept = replace(self, start=START_AUTO, model=None, refinement=Refinement.AUTO)
        return replace(kept, changes=changes, continue_from=result)

    def arguments(self) -> dict[str, Any]:
        """These, under the names of `scene.request_from_nodes`."""
        return {
            "atlases": self.atlases,
            "target": self.target,
            "target_mask": self.target_mask,
            "target_points": self.target_points,
            "landmark_use": self.landmark_use,
            "start": self.start,
            "quality": self.quality,
            "similarity": self.similarity,
            "device": self.device,
            "seed": self.seed,
            "method": self.method,
            "model": self.model.path if self.model is not None else None,
            "refinement": self.refinement,
            "fusion": self.fusion,
            "most_atlases": self.most_atlases,
            "changes": self.changes,
            "continue_from": self.continue_from,
        }

    def problem(self) -> str:
        """Why these cannot be run, as a sentence that says what to do; empty where they can."""
        for atlas in self.atlases:
            if atlas.image is None:
                return _("Select the atlas: a scan whose structures are already labeled.")
            if atlas.labels is None:
                return _("Select the labels of the atlas.")
        if self.target is None:
            return _("Select the target: the scan to segment.")
        if any(atlas.image is self.target for atlas in self.atlases):
            return _("The atlas and the target are the same volume. Select two different ones.")
        if self.start is None:
            return _("Select the transform to start from, or another start.")
        return self._problem_of_points() or self._problem_of_voxels()

    def _problem_of_points(self) -> str:
        of_atlases = [atlas.points for atlas in self.atlases]
        if self.target_points is None and any(points is not None for points in of_atlases):
            return _("Select the target's points too, or no points of the atlas.")
        if self.target_points is not None and any(points is None for points in of_atlases):
            return _("Select the points of each atlas too, or no points of the target.")
        for points in (self.target_points, *of_atlases):
            if points is not None and points.GetNumberOfControlPoints() == 0:
                return _("{name} has no points. Place some, or select another list.").format(name=points.GetName())
        return ""

    def _problem_of_voxels(self) -> str:
        nodes = [part for atlas in self.atlases for part in (atlas.image, atlas.labels, atlas.mask)]
        for node in (*nodes, self.target, self.target_mask):
            if node is not None and not isinstance(node, Path) and _is_empty(node):
                return _("{name} is empty. Select another one.").format(name=node.GetName())
        return ""


def problem_of(runs: tuple[Inputs, ...]) -> str:
    """Why a run on these targets cannot begin; empty where it can."""
    return next((problem for inputs in runs if (problem := inputs.problem())), "")


def _atlases(parameters: Any) -> tuple[AtlasSource, ...]:
    entries = EntryList(parameters, "atlasList").entries
    if not entries:
        p = parameters
        return (AtlasSource(p.atlasVolume, p.atlasLabels, p.atlasMask, p.atlasPoints),)
    return tuple(
        AtlasSource(
            entry.parts[IMAGE],
            entry.parts[LABELS],
            entry.parts.get(MASK),
            entry.parts.get(POINTS),
            entry.parts.get(TABLE),
        )
        for entry in entries
    )


def _is_empty(node: Any) -> bool:
    if node.IsA("vtkMRMLMarkupsNode"):
        return node.GetNumberOfDefinedControlPoints() == 0
    if node.IsA("vtkMRMLSegmentationNode"):
        return node.GetSegmentation() is None or node.GetSegmentation().GetNumberOfSegments() == 0
    return node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0


def find_node(given: Any, what: str) -> Any:
    """The node that `given` is, or that has it as ID or name; None for None.

    Raises:
        JobError: REQUEST_INVALID where the scene has no such node.
    """
    if given is None or isinstance(given, slicer.vtkMRMLNode):
        return given
    found = slicer.mrmlScene.GetNodeByID(str(given)) or slicer.mrmlScene.GetFirstNodeByName(str(given))
    if found is None:
        raise JobError(
            Code.REQUEST_INVALID,
            _("The scene has no node named {name} for {what}.").format(name=quoted(str(given)), what=what),
            _("Give a node, or the name or ID of one in the scene."),
        )
    return found


def find_choice(kind: type[Choice], given: Any, what: str) -> Choice:
    """The choice that `given` is or names.

    Raises:
        JobError: REQUEST_INVALID where it names none.
    """
    try:
        return kind(given)
    except ValueError as problem:
        known = ", ".join(str(choice.value) for choice in kind)
        raise JobError(
            Code.REQUEST_INVALID,
            _("{what} is {given}.").format(what=what, given=given),
            _("Give one of: {known}.").format(known=known),
        ) from problem
