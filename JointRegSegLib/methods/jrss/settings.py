"""What can be chosen about JRSS; `preset.toml` says what the paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from JointRegSegLib.networks import Intensity
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Count, Positive, Share, SomeShare, Weight, Whole
from JointRegSegLib.training.trainer import TrainerConfig


@dataclass(frozen=True)
class Model:
    """The networks.

    Attributes:
        intensity: the scale that they see.
        leak, legacy_grid: of the hybrid obelisk networks, as in `networks.ObeliskSegmentation`.
        backbone: those, or VoxelMorph and a light U-Net as in DeepAtlas.
    """

    intensity: Intensity
    leak: Share
    legacy_grid: bool
    backbone: Literal["obelisk", "unet"] = "obelisk"


@dataclass(frozen=True)
class Noise:
    """What makes the student's task harder than the teacher's.

    Attributes:
        dropout: share of channels that the student loses; 0 for none.
        warp: whether the student sees the moving image as registration moves it.
    """

    dropout: Share
    warp: bool


@dataclass(frozen=True)
class Loss:
    """The objectives.

    Attributes:
        uncertainty: weight of L_u, between the student's and the teacher's probabilities; 0 for none.
        seg_overlap, reg_overlap: weights of L_d in the steps of segmentation and of registration.
        smoothness: weight of L_r.
        warm_up: how many times that weight registration begins with.
        warm_up_steps: until it is down to `smoothness`.
        background: weight of the background in L_c, where the structures' weights are 1 in the mean.
        hardest: share of the voxels that L_c counts, those with the largest losses.
    """

    uncertainty: Weight
    seg_overlap: Weight
    reg_overlap: Weight
    smoothness: Weight
    warm_up: Weight
    warm_up_steps: Count
    background: Weight
    hardest: SomeShare


@dataclass(frozen=True)
class Procedure:
    """How the networks are trained.

    Attributes:
        reg_steps, seg_steps: of each network alone (phase 0).
        rounds: of pseudo-labels and joint training; 0 for phase 0 alone.
        turns: of registration and segmentation in a round.
        reg_units, seg_units: of `unit` steps each, in a turn.
        unit: steps after which learning rates fall by `lr_decay`.
        shares: of a budget in minutes: registration alone, segmentation alone, all rounds.
        screening: whether pseudo-labels are screened by `tau`.
        tau: the probability above which a voxel's pseudo-label counts, and which every structure must reach somewhere.
        teacher_update: whether the student is compared with the teacher of the round's start or of the last step.
        teacher_decay: how much of the teacher is kept at each step of the student.
        reg_lr, seg_lr, lr_decay: learning rates, and their factor after each unit.
        seg_weight_decay: added to the gradient of the segmentation network.
        batch: pairs of a step of registration, images of a step of segmentation (one half of them labelled).
        reg_moves, seg_moves: strength of the random affine maps that move every other item.
        student_lr: the learning rate of segmentation in the rounds; `seg_lr` where None.
    """

    reg_steps: Whole
    seg_steps: Whole
    rounds: Whole
    turns: Count
    reg_units: Whole
    seg_units: Whole
    unit: Count
    shares: tuple[Positive, Positive, Positive]
    screening: bool
    tau: Share
    teacher_update: Literal["round", "step"]
    teacher_decay: Share
    reg_lr: Positive
    seg_lr: Positive
    lr_decay: Positive
    seg_weight_decay: Weight
    batch: Count
    reg_moves: Weight
    seg_moves: Weight
    student_lr: Positive | None = None


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    data: DataConfig
    model: Model
    noise: Noise
    loss: Loss
    strategy: Procedure
    trainer: TrainerConfig
