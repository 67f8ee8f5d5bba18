"""The nodes and choices of one run, and why they cannot be run yet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import slicer
from slicer.i18n import tr as _

from ..job import Code, Device, JobError, Quality, Refinement, Similarity
from ..job.request import OPTIMISATION, START_AS_PLACED, START_AUTO
from ..library.models import Installed

START_WORDS = (START_AUTO, START_AS_PLACED)

Choice = TypeVar("Choice", bound=Enum)


@dataclass(frozen=True)
class Inputs:
    """What a run is made of. Nodes are MRML nodes or None; `start` is "auto", "as-placed" or a transform node.

    Attributes:
        model: the installed model that registers, or None for the optimization.
    """

    atlas: Any = None
    labels: Any = None
    target: Any = None
    atlas_mask: Any = None
    target_mask: Any = None
    quality: Quality = Quality.NORMAL
    similarity: Similarity = Similarity.AUTO
    device: Device = Device.AUTO
    start: Any = START_AUTO
    seed: int = 0
    model: Installed | None = None
    refinement: Refinement = Refinement.AUTO

    @classmethod
    def from_parameters(cls, parameters: Any, model: Installed | None = None) -> Inputs:
        """The choices that a parameter node holds, with the model that it names."""
        from_transform = parameters.start.name == "TRANSFORM"
        return cls(
            atlas=parameters.atlasVolume,
            labels=parameters.atlasLabels,
            target=parameters.targetVolume,
            atlas_mask=parameters.atlasMask,
            target_mask=parameters.targetMask,
            quality=Quality(parameters.quality.value),
            similarity=Similarity(parameters.similarity.value),
            device=Device(parameters.device.value),
            start=parameters.startTransform if from_transform else parameters.start.value,
            seed=parameters.seed,
            model=model,
            refinement=Refinement(parameters.refinement.value),
        )

    @property
    def method(self) -> str:
        """As `Request.method`."""
        return OPTIMISATION if self.model is None or self.model.card is None else self.model.card.method

    def arguments(self) -> dict[str, Any]:
        """These, under the names of `scene.request_from_nodes`."""
        return {
            "atlas": self.atlas,
            "atlas_labels": self.labels,
            "target": self.target,
            "atlas_mask": self.atlas_mask,
            "target_mask": self.target_mask,
            "start": self.start,
            "quality": self.quality,
            "similarity": self.similarity,
            "device": self.device,
            "seed": self.seed,
            "method": self.method,
            "model": self.model.path if self.model is not None else None,
            "refinement": self.refinement,
        }

    def problem(self) -> str:
        """Why these cannot be run, as a sentence that says what to do; empty where they can."""
        if self.atlas is None:
            return _("Select the atlas: a scan whose structures are already labeled.")
        if self.labels is None:
            return _("Select the labels of the atlas.")
        if self.target is None:
            return _("Select the target: the scan to segment.")
        if self.atlas is self.target:
            return _("The atlas and the target are the same volume. Select two different ones.")
        if self.start is None:
            return _("Select the transform to start from, or another start.")
        for node in (self.atlas, self.labels, self.target, self.atlas_mask, self.target_mask):
            if node is not None and _is_empty(node):
                return _("{name} is empty. Select another one.").format(name=node.GetName())
        return ""


def _is_empty(node: Any) -> bool:
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
            f"The scene has no node named {given} for {what}.",
            "Give a node, or the name or ID of one in the scene.",
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
        raise JobError(Code.REQUEST_INVALID, f"{what} is {given}.", f"Give one of: {known}.") from problem
