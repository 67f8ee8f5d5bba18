"""What can be chosen about SynthMorph; `preset.toml` says what the paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Count, Positive, Weight, Whole
from JointRegSegLib.training.synthesis import Synthesis
from JointRegSegLib.training.trainer import TrainerConfig


@dataclass(frozen=True)
class Model:
    """The network.

    Attributes:
        squarings: of the exponential that makes a field of the network's velocity.
    """

    squarings: Count


@dataclass(frozen=True)
class Loss:
    """The objective, upon the overlap of all structures, whose weight is 1.

    Attributes:
        smoothness: the weight of the field's mean squared slope.
    """

    smoothness: Weight


@dataclass(frozen=True)
class Procedure:
    """How the network is trained.

    Attributes:
        subjects: whether the label maps of a pair are of two subjects, or of one that is deformed twice.
        steps: how many.
        lr: the learning rate.
        warm_up: steps over which it rises to that.
        batch: pairs of a step.
    """

    subjects: Literal["two", "one"]
    steps: Whole
    lr: Positive
    warm_up: Count
    batch: Count


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    data: DataConfig
    synthesis: Synthesis
    model: Model
    loss: Loss
    strategy: Procedure
    trainer: TrainerConfig
