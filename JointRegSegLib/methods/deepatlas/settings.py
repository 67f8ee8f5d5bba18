"""What can be chosen about DeepAtlas; `preset.toml` says what the paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from JointRegSegLib.networks import Intensity
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Axis, Count, Positive, Weight, Whole
from JointRegSegLib.training.trainer import TrainerConfig


@dataclass(frozen=True)
class Model:
    """The networks.

    Attributes:
        intensity: the scale that they see.
        backbone: VoxelMorph and a light U-Net, or hybrid obelisk networks as in JRSS.
    """

    intensity: Intensity
    backbone: Literal["unet", "obelisk"] = "unet"


@dataclass(frozen=True)
class Loss:
    """The objectives.

    Attributes:
        similarity: of warped and fixed image: correlation of the whole images, or squared in windows of 3 voxels.
        bending: weight of the bending energy on a grid of 128^3 voxels; it grows with the square of the sides.
        anatomy: weight of the Dice loss between warped and fixed segmentation.
        supervision: weight of the Dice loss between prediction and manual label.
    """

    similarity: Literal["ncc", "lncc"]
    bending: Weight
    anatomy: Weight
    supervision: Weight


@dataclass(frozen=True)
class Procedure:
    """How the networks are trained.

    Attributes:
        scheme: "separate" stops after each network was trained alone; "semi" trains the segmentation against the
            fixed registration network instead (Semi-DA); "alternate" goes on from there with both in turn. With
            several labelled scans it begins as "separate", with one as "semi" if `semi_first`.
        alternation: steps of segmentation to steps of registration in a turn, or "joint": each step trains both.
        reg_steps, seg_steps, joint_steps: of registration alone, of segmentation alone, of both together.
        shares: of a budget in minutes, of the same three stages.
        reg_lr, seg_lr: learning rates; that of segmentation alone falls to a fifth after half of its steps.
        batch: items of a step.
        flips: axes (0, 1, 2 of D, H, W) across which segmentation alone mirrors scans at random.
        semi_first: see `scheme`.
        turn_lr: the learning rate of segmentation in turns with registration; `seg_lr` where None.
    """

    scheme: Literal["separate", "semi", "alternate"]
    alternation: Literal["1:20", "5:40", "5:10", "joint"]
    reg_steps: Whole
    seg_steps: Whole
    joint_steps: Whole
    shares: tuple[Positive, Positive, Positive]
    reg_lr: Positive
    seg_lr: Positive
    batch: Count
    flips: tuple[Axis, ...]
    semi_first: bool = True
    turn_lr: Positive | None = None


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    data: DataConfig
    model: Model
    loss: Loss
    strategy: Procedure
    trainer: TrainerConfig
