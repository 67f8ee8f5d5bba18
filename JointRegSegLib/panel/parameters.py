"""What the panel remembers in the scene, so that a saved scene brings the choices back."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTransformNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from ..job import Device, LandmarkUse, Quality, Refinement, Similarity
from ..job.fusion import Fusion
from ..job.request import START_AS_PLACED, START_AUTO


class QualityChoice(Enum):
    """`Quality`, with words for the panel."""

    FAST = Quality.FAST.value
    NORMAL = Quality.NORMAL.value
    ACCURATE = Quality.ACCURATE.value

    def label(self) -> str:
        return {"FAST": _("Fast"), "NORMAL": _("Normal"), "ACCURATE": _("Accurate")}[self.name]


class SimilarityChoice(Enum):
    """`Similarity`, with words for the panel."""

    AUTO = Similarity.AUTO.value
    LNCC = Similarity.LNCC.value
    MSE = Similarity.MSE.value
    MI = Similarity.MI.value
    MIND = Similarity.MIND.value

    def label(self) -> str:
        return {
            "AUTO": _("Automatic"),
            "LNCC": _("Local correlation (same kind of scan)"),
            "MSE": _("Mean squares (same intensities)"),
            "MI": _("Mutual information (different contrast)"),
            "MIND": _("MIND descriptor (different contrast)"),
        }[self.name]


class RefinementChoice(Enum):
    """`Refinement`, with words for the panel."""

    AUTO = Refinement.AUTO.value
    NONE = Refinement.NONE.value
    IMAGES = Refinement.IMAGES.value
    JOINT = Refinement.JOINT.value

    def label(self) -> str:
        return {
            "AUTO": _("Automatic (as its validation allows)"),
            "NONE": _("None (the model alone)"),
            "IMAGES": _("By the scans"),
            "JOINT": _("By the scans and its segmentation"),
        }[self.name]


class DeviceChoice(Enum):
    """`Device`, with words for the panel."""

    AUTO = Device.AUTO.value
    CPU = Device.CPU.value
    CUDA = Device.CUDA.value
    MPS = Device.MPS.value

    def label(self) -> str:
        return {
            "AUTO": _("Automatic"),
            "CPU": _("Processor (CPU)"),
            "CUDA": _("NVIDIA graphics card (CUDA)"),
            "MPS": _("Apple graphics processor (MPS)"),
        }[self.name]


class StartChoice(Enum):
    """Where the alignment begins."""

    AUTO = START_AUTO
    AS_PLACED = START_AS_PLACED
    TRANSFORM = "transform"

    def label(self) -> str:
        return {
            "AUTO": _("Automatic (best of several)"),
            "AS_PLACED": _("As the volumes are placed now"),
            "TRANSFORM": _("From a transform"),
        }[self.name]


class FusionChoice(Enum):
    """`Fusion`, with words for the panel."""

    AUTO = Fusion.AUTO.value
    MAJORITY = Fusion.MAJORITY.value
    LOCAL = Fusion.LOCAL.value
    JOINT = Fusion.JOINT.value
    STAPLE = Fusion.STAPLE.value

    def label(self) -> str:
        return {
            "AUTO": _("Automatic"),
            "MAJORITY": _("Majority of the atlases"),
            "LOCAL": _("Weighted by local similarity"),
            "JOINT": _("Joint label fusion"),
            "STAPLE": _("STAPLE"),
        }[self.name]


class LandmarkUseChoice(Enum):
    """`LandmarkUse`, with words for the panel."""

    CONSTRAIN = LandmarkUse.CONSTRAIN.value
    CHECK = LandmarkUse.CHECK.value

    def label(self) -> str:
        return {"CONSTRAIN": _("As constraints"), "CHECK": _("As a check (error in mm)")}[self.name]


# `X | Y` instead of Union is not understood by the parameter nodes of every Slicer that we support.
LabelsNode = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
MaskNode = Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, vtkMRMLMarkupsROINode, None]  # noqa: UP007


@parameterNodeWrapper
class Parameters:
    """The choices of the panel.

    The names are part of saved scenes, and most are `SlicerParameterName` properties in JointRegSeg.ui: keep them.

    Attributes:
        model: name of the installed model that registers; empty for the optimization.
        mostAtlases: register only so many of the atlases, those most like the target; 0 for all.
        atlasList, targetList: as `entries.EntryList` keeps them; empty for the nodes chosen one by one.
    """

    atlasVolume: vtkMRMLScalarVolumeNode
    atlasLabels: LabelsNode
    targetVolume: vtkMRMLScalarVolumeNode
    atlasList: str = ""
    targetList: str = ""
    atlasPoints: vtkMRMLMarkupsFiducialNode
    targetPoints: vtkMRMLMarkupsFiducialNode
    landmarkUse: LandmarkUseChoice = LandmarkUseChoice.CONSTRAIN
    model: str = ""
    refinement: RefinementChoice = RefinementChoice.AUTO
    quality: QualityChoice = QualityChoice.NORMAL
    similarity: SimilarityChoice = SimilarityChoice.AUTO
    fusion: FusionChoice = FusionChoice.AUTO
    mostAtlases: Annotated[int, WithinRange(0, 999)] = 0
    device: DeviceChoice = DeviceChoice.AUTO
    atlasMask: MaskNode
    targetMask: MaskNode
    start: StartChoice = StartChoice.AUTO
    startTransform: vtkMRMLTransformNode
    seed: Annotated[int, WithinRange(0, 999999)] = 0
