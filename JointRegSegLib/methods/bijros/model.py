"""The model of Bi-JROS (Fan et al., CVPR 2024): an encoder for each scan, and a decoder for each task."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from JointRegSegLib.fields import Shape, shape_of
from JointRegSegLib.networks import (
    BOTH,
    Capability,
    FlowHead,
    Group,
    InputSpec,
    Intensity,
    JointModel,
    JointOutput,
    Task,
    conv_block,
)

from .settings import Settings

_CHANNELS = (32, 64, 128, 256)
_block = partial(conv_block, leak=0.0)

Features = list[Tensor]
"""Of one scan at 1/1, 1/2, 1/4 and 1/8 of the grid."""


class Encoder(nn.Module):
    """Features of an image at four levels; 3,515,040 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_double(a, b) for a, b in zip((1, *_CHANNELS), _CHANNELS, strict=False))

    def forward(self, image: Tensor) -> Features:
        """From an image (B, 1, D, H, W) 32, 64, 128 and 256 channels, fine to coarse."""
        features = [self.levels[0](image)]
        for level in self.levels[1:]:
            features.append(level(F.max_pool3d(features[-1], 2)))
        return features


class Decoder(nn.Module):
    """From the features of one scan, or of two scans, to the whole grid.

    Args:
        scans: how many.
        head: what makes the outputs of the last 32 channels.
    """

    def __init__(self, scans: int, head: nn.Module) -> None:
        super().__init__()
        finer = list(_CHANNELS[-2::-1])
        before = [scans * _CHANNELS[-1], *finer]
        self.enlarge = nn.ModuleList(nn.ConvTranspose3d(a, b, 2, 2) for a, b in zip(before, finer, strict=False))
        self.levels = nn.ModuleList(_double((1 + scans) * channels, channels) for channels in finer)
        self.head = head

    def forward(self, *scans: Features) -> Tensor:
        """(B, outputs, D, H, W)."""
        *skips, x = (torch.cat(level, 1) for level in zip(*scans, strict=True))
        for enlarge, level, skip in zip(self.enlarge, self.levels, reversed(skips), strict=True):
            x = level(torch.cat([enlarge(x), skip], 1))
        outputs: Tensor = self.head(x)
        return outputs


class SharedEncoderModel(JointModel):
    """One encoder, which sees each scan by itself; one decoder registers two scans, another segments one.

    Both directions of a pair are predicted, by two calls of the same decoder. 8,535,761 parameters for 14 classes.

    Args:
        classes: K, background included.
        sharing: whether both tasks share the encoder.
        intensity: the scale that it sees.
    """

    capabilities = frozenset[Capability]({"field", "inverse", "segmentation"})

    def __init__(self, classes: int, sharing: bool = True, intensity: Intensity = "minmax") -> None:
        super().__init__()
        self.encoder = Encoder()
        self.own_encoder = None if sharing else Encoder()
        self.reg_decoder = _reg_decoder()
        self.seg_decoder = _seg_decoder(classes)
        self.input_spec = InputSpec(2 ** (len(_CHANNELS) - 1), intensity=intensity)
        self._classes = classes

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        shape = shape_of(fixed)
        output = JointOutput()
        if "reg" in tasks or self.own_encoder is None:
            m, f = self.encode(moving), self.encode(fixed)
        if "reg" in tasks:
            output = JointOutput(self.displacement(m, f, shape), self.displacement(f, m, shape))
        if "seg" in tasks:
            if self.own_encoder is not None:
                m, f = self.encode(moving, "seg"), self.encode(fixed, "seg")
            output = replace(output, seg_moving=self.classified(m, shape), seg_fixed=self.classified(f, shape))
        return output

    def encode(self, image: Tensor, task: Task = "reg") -> Features:
        """The features that a task sees in an image of any size, on a grid whose sides 8 divides."""
        encoder = self.own_encoder if task == "seg" and self.own_encoder is not None else self.encoder
        features: Features = encoder(self._padded(image))
        return features

    def displacement(self, moving: Features, fixed: Features, shape: Shape) -> Tensor:
        """The field u (B, 3, *shape) in voxels from the features of two images of this shape."""
        return _cropped(self.reg_decoder(moving, fixed), shape)

    def classified(self, features: Features, shape: Shape) -> Tensor:
        """Logits (B, K, *shape) from the features of an image of this shape."""
        return _cropped(self.seg_decoder(features), shape)

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        own = [] if self.own_encoder is None else list(self.own_encoder.parameters())
        return {
            "enc": list(self.encoder.parameters()),
            "reg": list(self.reg_decoder.parameters()),
            "seg": [*self.seg_decoder.parameters(), *own],
        }

    def renew_decoders(self) -> None:
        """Begin again with both decoders, their weights drawn from PyTorch's own generator; the encoder stays."""
        self.reg_decoder.load_state_dict(_reg_decoder().state_dict())
        self.seg_decoder.load_state_dict(_seg_decoder(self._classes).state_dict())

    def _logits(self, image: Tensor) -> Tensor:
        return self.classified(self.encode(image, "seg"), shape_of(image))


def build(settings: Settings, classes: int) -> SharedEncoderModel:
    """The untrained model for K classes, background included."""
    m = settings.model
    return SharedEncoderModel(classes, m.sharing != "nothing", m.intensity)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_block(inputs, outputs), _block(outputs, outputs))


def _reg_decoder() -> Decoder:
    return Decoder(2, FlowHead(_CHANNELS[0]))


def _seg_decoder(classes: int) -> Decoder:
    return Decoder(1, nn.Conv3d(_CHANNELS[0], classes, 1))


def _cropped(tensor: Tensor, shape: Shape) -> Tensor:
    depth, height, width = shape
    return tensor[..., :depth, :height, :width]
