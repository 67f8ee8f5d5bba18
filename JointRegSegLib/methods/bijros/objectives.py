"""What Bi-JROS minimises (Fan et al., CVPR 2024, Eq. 7 to 10): terms of a view on pairs of atlas and target."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from torch import Tensor

from JointRegSegLib.fields import shape_of, warp
from JointRegSegLib.losses import diffusion, soft_dice, squared_lncc
from JointRegSegLib.training.phases import Batch
from JointRegSegLib.training.targets import one_hot
from JointRegSegLib.training.terms import LossTerm

from .model import Features, SharedEncoderModel
from .settings import Loss

_REG = frozenset({"enc", "reg"})
_ALL = frozenset({"enc", "reg", "seg"})


class PairView:
    """Pairs (atlas, target), of which the atlas is labelled; computes each thing when a term first asks for it.

    Args:
        model: what computes.
        batch: the pairs.
        classes: K.
        appearance: for each pair the share of the target's warped appearance in the pseudo image; None where the
            pseudo image is the warped atlas.
        second_warp: how that appearance is warped back, as in `settings.Procedure`.
    """

    def __init__(
        self,
        model: SharedEncoderModel,
        batch: Batch,
        classes: int,
        appearance: Sequence[float] | None,
        second_warp: Literal["bilinear", "nearest"] = "bilinear",
    ) -> None:
        self._model, self._classes, self._appearance = model, classes, appearance
        self._second_warp: Literal["bilinear", "nearest"] = second_warp
        self.atlas, self.target = batch.images(0), batch.images(1)
        self._shape = shape_of(self.atlas)
        labels = batch.labels(0)
        assert labels is not None
        self.label = one_hot(labels, classes)

    @cached_property
    def fields(self) -> tuple[Tensor, Tensor]:
        """psi (B, 3, D, H, W) in voxels, which moves the atlas onto the target, and psi-, which moves it back."""
        atlas, target = self._features
        forth = self._model.displacement(atlas, target, self._shape)
        return forth, self._model.displacement(target, atlas, self._shape)

    @cached_property
    def warped(self) -> tuple[Tensor, Tensor]:
        """The atlas on the target's grid, and the target on the atlas's, (B, 1, D, H, W)."""
        forth, back = self.fields
        return warp(self.atlas, forth), warp(self.target, back)

    @cached_property
    def returned(self) -> tuple[Tensor, Tensor]:
        """Atlas and target after both fields, each on its own grid."""
        forth, back = self.fields
        return warp(self.warped[0], back), warp(self.warped[1], forth)

    @cached_property
    def warped_label(self) -> Tensor:
        """y_p (B, K, D, H, W): the atlas's labels on the target's grid."""
        return warp(self.label, self.fields[0])

    @cached_property
    def pseudo_image(self) -> Tensor:
        """x_p (B, 1, D, H, W), to which `warped_label` belongs."""
        if self._appearance is None:
            return self.warped[0]
        share = self.target.new_tensor(self._appearance).view(-1, 1, 1, 1, 1)
        own = warp(self.warped[1], self.fields[0], "nearest") if self._second_warp == "nearest" else self.returned[1]
        return share * own + (1 - share) * self.target

    @cached_property
    def predicted_pseudo(self) -> Tensor:
        """Probabilities (B, K, D, H, W) of the pseudo image."""
        return self._probabilities(self._model.encode(self.pseudo_image, "seg"))

    @cached_property
    def predicted_target(self) -> Tensor:
        """Probabilities of the target."""
        return self._probabilities(self._features[1])

    @cached_property
    def predicted_atlas(self) -> Tensor:
        """Probabilities of the atlas."""
        shared = self._model.own_encoder is None
        return self._probabilities(self._features[0] if shared else self._model.encode(self.atlas, "seg"))

    @cached_property
    def _features(self) -> tuple[Features, Features]:
        return self._model.encode(self.atlas), self._model.encode(self.target)

    def _probabilities(self, features: Features) -> Tensor:
        return self._model.classified(features, self._shape).softmax(1)


def alignment_terms(loss: Loss) -> list[LossTerm[PairView]]:
    """L_reg, of both directions."""
    distance = _absolute if loss.cycle_form == "l1" else _correlation
    return [
        LossTerm(
            "similarity",
            lambda view: _correlation(view.atlas, view.warped[1]) + _correlation(view.target, view.warped[0]),
            loss.similarity,
            _REG,
        ),
        LossTerm(
            "cycle",
            lambda view: distance(view.atlas, view.returned[0]) + distance(view.target, view.returned[1]),
            loss.cycle,
            _REG,
        ),
        LossTerm(
            "smoothness", lambda view: diffusion(view.fields[0]) + diffusion(view.fields[1]), loss.smoothness, _REG
        ),
    ]


def leader_terms(loss: Loss) -> list[LossTerm[PairView]]:
    """Phi_r = L_reg + l4 Dice between the prediction on the real target and the warped label."""
    return [*alignment_terms(loss), _target_overlap(loss.overlap)]


def follower_terms() -> list[LossTerm[PairView]]:
    """Phi_s: Dice between the prediction on the pseudo image and the warped label."""
    return [LossTerm("pseudo overlap", lambda view: _dice(view.predicted_pseudo, view.warped_label), 1.0, _ALL)]


def common_terms(loss: Loss) -> list[LossTerm[PairView]]:
    """What everything is trained on at once: L_reg, and Dice of both predictions."""
    return [*alignment_terms(loss), _target_overlap(1.0), *supervision_terms()]


def supervision_terms() -> list[LossTerm[PairView]]:
    """Dice between the prediction on the atlas and its labels."""
    seg = frozenset({"enc", "seg"})
    return [LossTerm("atlas overlap", lambda view: _dice(view.predicted_atlas, view.label), 1.0, seg)]


def _target_overlap(weight: float) -> LossTerm[PairView]:
    return LossTerm("overlap", lambda view: _dice(view.predicted_target, view.warped_label), weight, _ALL)


def _dice(predicted: Tensor, label: Tensor) -> Tensor:
    return soft_dice(predicted, label, "negative")


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    return -squared_lncc(a, b)


def _absolute(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean((1, 2, 3, 4))
