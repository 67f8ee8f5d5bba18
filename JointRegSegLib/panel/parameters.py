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


class WordedChoice(Enum):
    """A value with words for the panel; a parameter node keeps the member's name, and shows its `label`."""

    def __new__(cls, value: str, words: str) -> WordedChoice:
        made = object.__new__(cls)
        made._value_ = value
        made.words = words
        return made

    words: str

    def label(self) -> str:
        return self.words


class QualityChoice(WordedChoice):
    """`Quality`."""

    FAST = Quality.FAST.value, _("Fast")
    NORMAL = Quality.NORMAL.value, _("Normal")
    ACCURATE = Quality.ACCURATE.value, _("Accurate")


class SimilarityChoice(WordedChoice):
    """`Similarity`."""

    AUTO = Similarity.AUTO.value, _("Automatic")
    LNCC = Similarity.LNCC.value, _("Local correlation (same kind of scan)")
    MSE = Similarity.MSE.value, _("Mean squares (same intensities)")
    MI = Similarity.MI.value, _("Mutual information (different contrast)")
    MIND = Similarity.MIND.value, _("MIND descriptor (different contrast)")


class RefinementChoice(WordedChoice):
    """`Refinement`."""

    AUTO = Refinement.AUTO.value, _("Automatic (as its validation allows)")
    NONE = Refinement.NONE.value, _("None (the model alone)")
    IMAGES = Refinement.IMAGES.value, _("By the scans")
    JOINT = Refinement.JOINT.value, _("By the scans and its segmentation")


class DeviceChoice(WordedChoice):
    """`Device`."""

    AUTO = Device.AUTO.value, _("Automatic")
    CPU = Device.CPU.value, _("Processor (CPU)")
    CUDA = Device.CUDA.value, _("NVIDIA graphics card (CUDA)")
    MPS = Device.MPS.value, _("Apple graphics processor (MPS)")


class StartChoice(WordedChoice):
    """Where the alignment begins."""

    AUTO = START_AUTO, _("Automatic (best of several)")
    AS_PLACED = START_AS_PLACED, _("As the volumes are placed now")
    TRANSFORM = "transform", _("From a transform")


class FusionChoice(WordedChoice):
    """`Fusion`."""

    AUTO = Fusion.AUTO.value, _("Automatic")
    MAJORITY = Fusion.MAJORITY.value, _("Majority of the atlases")
    LOCAL = Fusion.LOCAL.value, _("Weighted by local similarity")
    JOINT = Fusion.JOINT.value, _("Joint label fusion")
    STAPLE = Fusion.STAPLE.value, _("STAPLE")


class LandmarkUseChoice(WordedChoice):
    """`LandmarkUse`."""

    CONSTRAIN = LandmarkUse.CONSTRAIN.value, _("As constraints")
    CHECK = LandmarkUse.CHECK.value, _("As a check (error in mm)")


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
