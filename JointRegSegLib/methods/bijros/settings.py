"""What can be chosen about Bi-JROS; `preset.toml` says what the paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from JointRegSegLib.networks import Intensity
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Count, Positive, Share, Weight, Whole
from JointRegSegLib.training.trainer import TrainerConfig

Sharing = Literal["frozen", "trained", "nothing"]


@dataclass(frozen=True)
class Model:
    """The network.

    Attributes:
        intensity: the scale that it sees.
        sharing: "frozen" trains the encoder first and both decoders upon it afterwards, from scratch; "trained" trains
            everything at once; with "nothing" each task has an encoder of its own and learns by itself.
        encoder_norm: what the frozen encoder's normalisation goes by in training: its "running" statistics, which stay,
            or those of each "batch", by which the running ones go on.
    """

    intensity: Intensity
    sharing: Sharing
    encoder_norm: Literal["running", "batch"] = "running"


@dataclass(frozen=True)
class Loss:
    """The objectives.

    Attributes:
        similarity: weight of the similarity of each scan and the other, warped.
        cycle: weight of the difference between each scan and itself after both fields.
        cycle_form: of that difference: the mean absolute one, or the negative squared correlation in windows.
        smoothness: weight of both fields' smoothness.
        overlap: weight of the Dice loss by which segmentation pulls registration.
    """

    similarity: Weight
    cycle: Weight
    cycle_form: Literal["l1", "ncc"]
    smoothness: Weight
    overlap: Weight


@dataclass(frozen=True)
class Procedure:
    """How the network is trained.

    Attributes:
        encoder_steps: of encoder and decoders together, after which the encoder alone is kept.
        turns: of one step of segmentation and one of registration.
        shares: of a budget in minutes, of the same two stages.
        acc: whether segmentation learns on targets that take on some of their own warped appearance (appearance
            conformity constraint); else on the warped atlas.
        appearance: between which shares of the warped appearance a step draws one.
        second_warp: how that appearance is warped back: by "bilinear" interpolation, or from the "nearest" voxel,
            through which no gradient reaches the field.
        gradient_response: whether registration foresees how segmentation responds to it.
        degrees, scale: the largest turn and the smallest and largest scale by which steps of registration move pairs.
        lr: the learning rate.
        warm_up: steps over which it rises to that; each decoder's own steps count.
        batch: pairs of a step.
    """

    encoder_steps: Whole
    turns: Whole
    shares: tuple[Positive, Positive]
    acc: bool
    appearance: tuple[Share, Share]
    gradient_response: bool
    degrees: Weight
    scale: tuple[Positive, Positive]
    lr: Positive
    batch: Count
    warm_up: Count = 1
    second_warp: Literal["bilinear", "nearest"] = "bilinear"


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    data: DataConfig
    model: Model
    loss: Loss
    strategy: Procedure
    trainer: TrainerConfig
