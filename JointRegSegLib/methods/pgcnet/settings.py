"""What can be chosen about PGCNet; `preset.toml` says what the paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from JointRegSegLib.losses import DiceForm
from JointRegSegLib.networks import Intensity
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Count, Positive, Weight, Whole
from JointRegSegLib.training.trainer import TrainerConfig

Position = Literal["full", "axial", "none"]
Sharing = Literal["coupled", "encoder", "nothing"]
Correlation = Literal["mean", "sum"]
Update = Literal["add", "compose"]
FinestLevel = Literal[1, 2]


@dataclass(frozen=True)
class Model:
    """The network.

    Attributes:
        intensity: the scale that it sees.
        position: of the learnt map that is added to features before they are correlated: one value for each place, a
            sum of one table for each axis, or no map.
        sharing: "coupled" lets segmentation see the other scan's warped features, "encoder" does not; with "nothing"
            each task has an encoder of its own and learns by itself.
        correlation: over the features' channels.
        update: whether a level's displacement is added to that from below, or the image moves by one, then the other.
        finest_level: where the pyramid of both tasks ends: 1 for the whole grid, 2 for half of it along each axis, from
            where fields and logits are enlarged.
    """

    intensity: Intensity
    position: Position
    sharing: Sharing
    correlation: Correlation
    update: Update
    finest_level: FinestLevel = 1


@dataclass(frozen=True)
class Loss:
    """The objectives.

    Attributes:
        smoothness: weight of the field's smoothness beside the similarity.
        bidirectional: whether similarity and smoothness are means over the field and its inverse; else of the field.
        dice: the form of both Dice losses.
        joint: weight of the Dice loss between both predictions after registration; 0 for none.
        joint_labels: what stands for a labelled side in that loss: its prediction or its manual labels.
    """

    smoothness: Weight
    bidirectional: bool
    dice: DiceForm
    joint: Weight
    joint_labels: Literal["predicted", "manual"]


@dataclass(frozen=True)
class Procedure:
    """How the network is trained.

    Attributes:
        first_steps: without the joint loss.
        joint_steps: with it.
        shares: of a budget in minutes, of the same two stages.
        lr: the learning rate.
        warm_up: steps over which it rises to that.
        batch: pairs of a step.
    """

    first_steps: Whole
    joint_steps: Whole
    shares: tuple[Positive, Positive]
    lr: Positive
    batch: Count
    warm_up: Count = 1


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    data: DataConfig
    model: Model
    loss: Loss
    strategy: Procedure
    trainer: TrainerConfig
