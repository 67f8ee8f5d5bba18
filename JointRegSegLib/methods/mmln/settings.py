"""What can be chosen about MMLN; `preset.toml` says what the paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from JointRegSegLib.networks import Intensity
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Count, Positive, Weight, Whole
from JointRegSegLib.training.trainer import TrainerConfig

Branch = Literal["slices", "core"]
Coupling = Literal["input", "residual", "feature"]
Plane = Literal["axial", "coronal", "sagittal"]
CoreWeights = Literal["shared", "own"]
Subnet = Literal["lapirn", "vxm"]


@dataclass(frozen=True)
class Model:
    """The network.

    Attributes:
        intensity: the scale that it sees.
        branches: what learns beside the pyramid and is left out when the model is used: networks on slices at the two
            coarser levels, and a second registration of the finest level's middle.
        planes: the slices that the networks on slices see.
        coupling: what those networks have of the pyramid. With "input" they see what it sees and add to the velocity
            from the level below; with "residual" they add to the pyramid's own velocity of their level; with "feature"
            they see its last features as well.
        core_weights: whether the core is registered by the finest level's network or by one of its own.
        subnet: what a level's network is: LapIRN's, or VoxelMorph's U-Net, which takes up no features from below.
    """

    intensity: Intensity
    branches: tuple[Branch, ...]
    planes: tuple[Plane, ...]
    coupling: Coupling
    core_weights: CoreWeights
    subnet: Subnet = "lapirn"


@dataclass(frozen=True)
class Loss:
    """The objectives.

    Attributes:
        smoothness: k, the weight of the velocity's smoothness at the finest level; half of it at each coarser one.
        slices: alpha and beta, the weights of the slices' similarity at the coarsest and the next level.
        core: theta, the weight of the core's similarity.
    """

    smoothness: Weight
    slices: tuple[Weight, Weight]
    core: Weight


@dataclass(frozen=True)
class Procedure:
    """How the network is trained.

    Attributes:
        steps: of each level, coarse to fine.
        shares: of a budget in minutes, of the same three.
        frozen_steps: with which a finer level begins before the coarser ones learn along.
        lr: the learning rate.
        batch: pairs of a step.
    """

    steps: tuple[Whole, Whole, Whole]
    shares: tuple[Positive, Positive, Positive]
    frozen_steps: Whole
    lr: Positive
    batch: Count


@dataclass(frozen=True)
class Settings:
    """The whole configuration."""

    data: DataConfig
    model: Model
    loss: Loss
    strategy: Procedure
    trainer: TrainerConfig
