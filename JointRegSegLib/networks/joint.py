"""What every model that registers and segments offers, whatever it is built of."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from JointRegSegLib.fields import Shape, shape_of

from .backbone import Backbone

Capability = Literal["field", "inverse", "segmentation"]
Group = Literal["enc", "reg", "seg", "pos", "level1", "level2", "level3", "aux"]
Intensity = Literal["minmax", "zscore"]
Task = Literal["reg", "seg"]

BOTH: tuple[Task, Task] = ("reg", "seg")


@dataclass(frozen=True)
class InputSpec:
    """What images a model takes.

    Attributes:
        divisor: what the sides must be divisible by; `register` and `segment` pad to it.
        fixed_size: the only (D, H, W) that it takes, or None for any.
        intensity: scaled to [0, 1], or to mean 0 and standard deviation 1.
    """

    divisor: int
    fixed_size: Shape | None = None
    intensity: Intensity = "minmax"


@dataclass(frozen=True)
class JointOutput:
    """What one pass over a pair gave; None is what was not asked for or what the model does not have.

    Attributes:
        field: u (B, 3, D, H, W) in voxels on the fixed grid, `warped(p) = moving(p + u(p))`.
        inverse_field: the same with moving and fixed exchanged.
        velocity: (B, 3, D, H, W) in voxels per unit of time, of which `field` is the exponential.
        seg_moving, seg_fixed: logits (B, K, D, H, W), background at 0.
        pyramid: one record per level, coarse to fine, as the model defines it.
        aux: whatever else the model's own losses need.
    """

    field: Tensor | None = None
    inverse_field: Tensor | None = None
    velocity: Tensor | None = None
    seg_moving: Tensor | None = None
    seg_fixed: Tensor | None = None
    pyramid: tuple[Any, ...] = ()
    aux: dict[str, Any] = dataclasses.field(default_factory=dict)


class JointModel(nn.Module, ABC):
    """A model that computes a field and logits of a pair of images (B, 1, D, H, W)."""

    input_spec: InputSpec
    capabilities: frozenset[Capability]

    @abstractmethod
    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        """One pass over a pair whose sides suit `input_spec`; computes no more than `tasks` need."""

    @abstractmethod
    def groups(self) -> dict[Group, list[nn.Parameter]]:
        """The parameters by what they are for; every one in exactly one group."""

    def parts(self) -> dict[str, str]:
        """Where no weight serves both tasks: "registration" and "segmentation", and how the names of all weights that
        decide it begin in `state_dict`. Empty by default.
        """
        return {}

    def register(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The field u (B, 3, D, H, W) in voxels of two images of any size; differentiable.

        Raises:
            ValueError: the images have not the only size that the model takes.
        """
        found = self(self._padded(moving), self._padded(fixed), ("reg",)).field
        return _cropped(found, shape_of(fixed))

    def segment(self, image: Tensor) -> Tensor:
        """Logits (B, K, D, H, W) of an image of any size; differentiable.

        Raises:
            ValueError: the image has not the only size that the model takes.
        """
        return _cropped(self._logits(self._padded(image)), shape_of(image))

    def strip_training_branches(self) -> None:
        """Drop what only training needs; the outputs of `register` and `segment` stay. Nothing by default."""

    def _logits(self, image: Tensor) -> Tensor:
        """Logits of one image of suitable size: by default of the image paired with itself."""
        logits: Tensor = self(image, image, ("seg",)).seg_fixed
        return logits

    def _padded(self, image: Tensor) -> Tensor:
        """The image with its last slices repeated until the divisor divides each side."""
        spec = self.input_spec
        if spec.fixed_size is not None and shape_of(image) != spec.fixed_size:
            raise ValueError(f"The model takes images of {spec.fixed_size} voxels, not {shape_of(image)}.")
        missing = [-n % spec.divisor for n in shape_of(image)]
        if not any(missing):
            return image
        return F.pad(image, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")


class TwoNetModel(JointModel):
    """Two networks that share nothing: `reg_net(moving, fixed)` is a field in voxels, `seg_net(image)` logits."""

    capabilities = frozenset[Capability]({"field", "segmentation"})

    def __init__(self, reg_net: Backbone, seg_net: Backbone, intensity: Intensity = "minmax") -> None:
        super().__init__()
        self.reg_net, self.seg_net = reg_net, seg_net
        self.input_spec = InputSpec(math.lcm(reg_net.divisor, seg_net.divisor), intensity=intensity)

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        return JointOutput(
            field=self.reg_net(moving, fixed) if "reg" in tasks else None,
            seg_moving=self.seg_net(moving) if "seg" in tasks else None,
            seg_fixed=self.seg_net(fixed) if "seg" in tasks else None,
        )

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        return {"reg": list(self.reg_net.parameters()), "seg": list(self.seg_net.parameters())}

    def parts(self) -> dict[str, str]:
        return {"registration": "reg_net.", "segmentation": "seg_net."}

    def _logits(self, image: Tensor) -> Tensor:
        logits: Tensor = self.seg_net(image)
        return logits


def _cropped(tensor: Tensor, shape: Shape) -> Tensor:
    depth, height, width = shape
    return tensor[..., :depth, :height, :width]
