"""The model of PGCNet (Tan et al., MICCAI 2023): registration and segmentation from coarse to fine, in one pass."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from JointRegSegLib.fields import Shape, compose, resize_field, resize_image, shape_of, warp
from JointRegSegLib.networks import BOTH, Capability, Group, InputSpec, Intensity, JointModel, JointOutput, Task

from .layers import CHANNELS, DIVISOR, Encoder, FieldEstimator, PositionMap, SegmentationDecoder
from .settings import Correlation, FinestLevel, Position, Settings, Sharing, Update


@dataclass(frozen=True)
class Level:
    """What is known at one level of the pyramid.

    Attributes:
        moved: the moving scan's features on the fixed grid, warped by the field of the level before.
        moved_back: the fixed scan's features on the moving grid, by the inverse field of the level before.
        field, inverse: (B, 3, d, h, w) in voxels of the level.
    """

    moved: Tensor
    moved_back: Tensor
    field: Tensor
    inverse: Tensor


class CoupledPyramid(JointModel):
    """One encoder for both scans, an estimator of displacements for each level, and a decoder that sees both scans.

    Exchanging the scans exchanges field and inverse field, and both segmentations, exactly. A scan that is segmented
    by itself is its own partner. Position maps that were laid out for the training grid, which a package's card tells,
    are stretched over scans of another size.

    Args:
        classes: K, background included.
        position, sharing, intensity, correlation, update, finest_level: as in `settings.Model`.
    """

    capabilities = frozenset[Capability]({"field", "inverse", "segmentation"})

    def __init__(
        self,
        classes: int,
        position: Position,
        sharing: Sharing,
        intensity: Intensity = "minmax",
        correlation: Correlation = "mean",
        update: Update = "add",
        finest_level: FinestLevel = 1,
    ) -> None:
        super().__init__()
        self.coupled = sharing == "coupled"
        self._finest_level = finest_level
        channels = CHANNELS[: len(CHANNELS) + 1 - finest_level]
        self._update = torch.add if update == "add" else compose
        self.encoder = Encoder()
        self.own_encoder = Encoder() if sharing == "nothing" else None
        self.estimators = nn.ModuleList(FieldEstimator(width, position, correlation) for width in channels)
        self.decoder = SegmentationDecoder(classes, 2 if self.coupled else 1, channels)
        self.input_spec = InputSpec(DIVISOR, intensity=intensity)

    def lay_out(self, shape: Shape) -> None:
        """Begin the position maps, if there are some, for scans of this shape (D, H, W)."""
        device = self.decoder.head.weight.device
        for level, places in enumerate(reversed(self._maps()), start=self._finest_level):
            depth, height, width = (-(-n // DIVISOR) * DIVISOR // 2 ** (level - 1) for n in shape)
            places.lay_out((depth, height, width), device)

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        with_reg, with_seg = "reg" in tasks, "seg" in tasks
        levels: list[Level] = []
        if with_reg or self.own_encoder is None:
            features = self._features(self.encoder, moving, fixed)
        if with_reg or self.coupled:
            levels = self._match(*features, finest=with_reg)
        output = JointOutput(pyramid=tuple(levels))
        if with_seg:
            if self.own_encoder is not None:
                features = self._features(self.own_encoder, moving, fixed)
            logits = (
                self._segmented(features[0], [level.moved_back for level in levels]),
                self._segmented(features[1], [level.moved for level in levels]),
            )
            seg_moving, seg_fixed = (resize_image(x, shape_of(fixed)) for x in logits)
            output = replace(output, seg_moving=seg_moving, seg_fixed=seg_fixed)
        if with_reg:
            field, inverse = (resize_field(u, shape_of(fixed)) for u in (levels[-1].field, levels[-1].inverse))
            output = replace(output, field=field, inverse_field=inverse)
        return output

    def of_pair(self, moving: Tensor, fixed: Tensor) -> JointOutput:
        """One pass for both tasks over images of any size that the model takes; `ValueError` for another."""
        found = self(self._padded(moving), self._padded(fixed))
        depth, height, width = shape_of(fixed)
        names = ("field", "inverse_field", "seg_moving", "seg_fixed")
        return replace(found, **{name: getattr(found, name)[..., :depth, :height, :width] for name in names})

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        pos = [p for places in self._maps() for p in places.parameters()]
        own = [] if self.own_encoder is None else list(self.own_encoder.parameters())
        groups: dict[Group, list[nn.Parameter]] = {
            "enc": list(self.encoder.parameters()),
            "reg": [p for estimator in self._estimators() for p in estimator.net.parameters()],
            "seg": [*self.decoder.parameters(), *own],
        }
        return groups | {"pos": pos} if pos else groups

    def _features(self, encoder: nn.Module, moving: Tensor, fixed: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of both images at the levels that are matched, coarse to fine."""
        return encoder(moving)[: len(self.estimators)], encoder(fixed)[: len(self.estimators)]

    def _match(self, moving: list[Tensor], fixed: list[Tensor], finest: bool) -> list[Level]:
        """All levels, coarse to fine; the last without what its estimator adds unless `finest`."""
        first = self.estimators[0]
        m, f = moving[0], fixed[0]
        levels = [Level(m, f, first(m, f), first(f, m))]
        for estimate, m, f in zip(self.estimators[1:], moving[1:], fixed[1:], strict=True):
            field, inverse = (resize_field(u, shape_of(m)) for u in (levels[-1].field, levels[-1].inverse))
            moved, moved_back = warp(m, field), warp(f, inverse)
            if finest or m is not moving[-1]:
                field = self._update(field, estimate(moved, f))
                inverse = self._update(inverse, estimate(moved_back, m))
            levels.append(Level(moved, moved_back, field, inverse))
        return levels

    def _segmented(self, own: list[Tensor], other: list[Tensor]) -> Tensor:
        """Logits of a scan from its own features and, where tasks are coupled, the other scan's on its grid."""
        state = own[0]
        for level, features in enumerate(own[1:]):
            views = (features, other[level + 1]) if self.coupled else (features,)
            state = self.decoder.finer(level, state, *views)
        logits: Tensor = self.decoder.head(state)
        return logits

    def _estimators(self) -> list[FieldEstimator]:
        return [module for module in self.estimators if isinstance(module, FieldEstimator)]

    def _maps(self) -> list[PositionMap]:
        return [estimator.position for estimator in self._estimators() if estimator.position is not None]


def build(settings: Settings, classes: int) -> CoupledPyramid:
    """The untrained model for K classes, background included, its position maps not yet laid out."""
    m = settings.model
    return CoupledPyramid(classes, m.position, m.sharing, m.intensity, m.correlation, m.update, m.finest_level)
