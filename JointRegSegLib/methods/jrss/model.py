"""The model of JRSS: a network for each task, hybrid obelisk ones in the paper, and the student of segmentation."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from JointRegSegLib.networks import (
    Backbone,
    Group,
    Intensity,
    ObeliskRegistration,
    ObeliskSegmentation,
    TwoNetModel,
    UNetLight,
    VoxelMorph,
)

from .settings import Settings


class TaughtModel(TwoNetModel):
    """A model whose segmentation network is the teacher, the running mean of a student that alone is trained."""

    def __init__(self, reg_net: Backbone, student: Backbone, intensity: Intensity) -> None:
        super().__init__(reg_net, copy.deepcopy(student).requires_grad_(False), intensity)
        self.student: Backbone | None = student

    def study(self, image: Tensor) -> Tensor:
        """The student's logits (B, K, D, H, W) of an image of any size; differentiable."""
        assert self.student is not None
        return TwoNetModel(self.reg_net, self.student, self.input_spec.intensity).segment(image)

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        if self.student is None:
            return super().groups()
        reg, student, teacher = (list(net.parameters()) for net in (self.reg_net, self.student, self.seg_net))
        return {"reg": reg, "seg": student, "aux": teacher}

    def strip_training_branches(self) -> None:
        self.student = None


def build(settings: Settings, classes: int) -> TaughtModel:
    """The untrained model for K classes, background included."""
    m = settings.model
    if m.backbone == "unet":
        return TaughtModel(VoxelMorph(), UNetLight(classes, settings.noise.dropout), m.intensity)
    reg = ObeliskRegistration(m.leak, m.legacy_grid)
    student = ObeliskSegmentation(classes, settings.noise.dropout, m.leak, m.legacy_grid)
    return TaughtModel(reg, student, m.intensity)
