"""The model of SynthMorph: a VoxelMorph network whose output is a velocity."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from JointRegSegLib.fields import exponential
from JointRegSegLib.networks import (
    BOTH,
    Capability,
    Group,
    InputSpec,
    JointModel,
    JointOutput,
    Task,
    VoxelMorph,
)

from .settings import Settings


class VelocityModel(JointModel):
    """Two images -> a velocity -> its exponential; 253,627 parameters, and no segmentation.

    Args:
        squarings: of the exponential.
    """

    capabilities = frozenset[Capability]({"field"})

    def __init__(self, squarings: int = 7) -> None:
        super().__init__()
        self.net = VoxelMorph(leaky=True)
        self.squarings = squarings
        self.input_spec = InputSpec(self.net.divisor)

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        if "reg" not in tasks:
            return JointOutput()
        velocity = self.net(moving, fixed)
        return JointOutput(field=exponential(velocity.float(), self.squarings), velocity=velocity)

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        return {"reg": list(self.net.parameters())}


def build(settings: Settings, classes: int) -> VelocityModel:
    """The untrained model; it knows no classes."""
    del classes
    return VelocityModel(settings.model.squarings)
