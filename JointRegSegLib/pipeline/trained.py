"""A model package, ready to be asked about a pair."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import methods
from ..fields import Matrix, affine_positions, coarsened, sample
from ..job import Code, JobError, Refinement, Request
from ..job.request import OPTIMISATION
from ..networks import JointModel, placed
from ..training.card import FUSED, Card
from ..training.frame import Frame, scaled
from ..training.package import fit, load_package
from ..training.structures import Structures
from ..volumes import Grid, Label, LabelMap, LabelTable, Volume, present_values
from .prepare import Inputs
from .progress import Progress
from .proposal import Proposal, Use

_GAIN = 0.01
"""Of Dice, on validation scans, by which a segmentation that is worse than the optimisation has to better it."""
_LEAST_SEEN, _USUALLY_SEEN = 0.5, 0.95
_COUNTED = 100_000


class TrainedModel:
    """A trained method's network on a device.

    Attributes:
        card: what the package says of itself.
    """

    def __init__(self, model: JointModel, card: Card, device: torch.device) -> None:
        self.card = card
        self._model, self._device = model, device
        self._frame = Frame(card.size, card.spacing, card.intensity)
        labels = LabelTable(Label(s.value, s.name, s.color) for s in card.structures)
        self._structures = Structures(labels, tuple(s.values for s in card.structures))

    @classmethod
    def load(cls, path: Path, method: str, device: torch.device) -> TrainedModel:
        """The model in a package; `JobError` MODEL_MISSING, MODEL_INVALID, or MODEL_UNFIT for another method's."""
        state, card = load_package(path)
        if card.method != method:
            raise _unfit(path, f"it was trained by the method {card.method}, not {method}", "Name that method.")
        try:
            model = methods.build(card.method, card.config, card.classes)
        except JobError as problem:
            raise _unfit(path, problem.message.rstrip("."), "Train it again with this version.") from problem
        model.strip_training_branches()
        fit(model, state, path)
        if card.intensity != model.input_spec.intensity:
            what = f"it was trained on intensities scaled by {card.intensity}, its networks take "
            raise _unfit(path, what + model.input_spec.intensity, "Train it again with this version.")
        return cls(placed(model, device).eval(), card, device)

    @property
    def segments(self) -> bool:
        """Whether the method gives probabilities of structures."""
        return "segmentation" in self._model.capabilities

    @property
    def structures(self) -> tuple[Label, ...]:
        """The labels of classes 1 to K-1."""
        return tuple(self._structures.table.values())

    @property
    def merges(self) -> bool:
        """Whether the method segments and a class stands for several label values.

        The model then leaves out what its training left out, and takes atlases with other structures besides its own.
        """
        return self.segments and any(len(s.values) > 1 for s in self.card.structures)

    def merged(self, labels: LabelMap) -> LabelMap:
        """Labels as the model's classes have them, without what it leaves out; as they are where it merges nothing."""
        if not self.merges:
            return labels
        array = self._structures.to_values(self._structures.to_classes(labels.array))
        return LabelMap(array, labels.grid, self._structures.table)

    @property
    def merging(self) -> str:
        """Which structures stand for several label values, for people; empty where none does."""
        named = [f"{s.name} ({', '.join(map(str, s.values))})" for s in self.card.structures if len(s.values) > 1]
        return f"The model merges structures: {'; '.join(named)}." if self.merges else ""

    def require_same_structures(self, labels: LabelMap) -> None:
        """`JobError` MODEL_UNFIT where an atlas's labels do not mean what the model's classes mean.

        A merged class has a name of its own: only the values are compared.
        """
        if not self.segments:
            return
        known = {value: s.name for s in self.card.structures for value in s.values}
        present = {value: labels.table[value].name for value in present_values(labels.array)}
        unknown = [f"{value} {name}" for value, name in present.items() if value not in known]
        if unknown and (not self.merges or len(unknown) == len(present)):
            raise _disagreeing(f"the model does not know {', '.join(unknown)}")
        alone = {s.value: s.name for s in self.card.structures if len(s.values) == 1}
        both = [(v, name, alone[v]) for v, name in present.items() if v in alone and _differ(v, name, alone[v])]
        if both:
            value, ours, its = both[0]
            raise _disagreeing(f"{value} is {ours} in the atlas and {its} in the model")

    def use(self, asked: Refinement) -> Use:
        """What a run does with the model's opinion.

        A joint refinement that was asked for is done, and its segmentation votes. Else it pulls only where by
        validation it was at least as good as the labels that the optimisation alone carries over, or, where the card
        does not know that, as those that the model's registration does. It votes where validation found fused labels
        at least as good as those, by `_GAIN` where it does not pull, or, where the card does not know that, where it
        pulls. Merged structures pull and never vote: they cannot tell the atlas's own.
        """
        if not self.segments:
            return Use(Refinement.IMAGES if asked is Refinement.AUTO else asked, False, "the method does not segment")
        if asked is Refinement.JOINT:
            pulls, votes, why = True, True, "as asked for"
        else:
            pulls, votes, why = self._validated()
        if asked is Refinement.AUTO:
            asked = Refinement.JOINT if pulls else Refinement.IMAGES
        if votes and self.merges:
            votes, why = False, f"{why}, but its structures are merged ones"
        return Use(asked, votes, why)

    def _validated(self) -> tuple[bool, bool, str]:
        """Whether the segmentation pulls, whether it votes, and why, by the card's validation scores."""
        scores = self.card.scores
        whose = OPTIMISATION if OPTIMISATION in scores else "registration"
        seg, least = scores.get("segmentation", math.nan), scores.get(whose, math.nan)
        if math.isnan(seg) or math.isnan(least):
            return False, False, "no validation says how good the model's segmentation is"
        pulls = seg >= least
        why = f"validation Dice of segmentation, {seg:.3f}, is {_compared(pulls)} {whose}'s, {least:.3f}"
        fused = scores.get(FUSED, math.nan)
        if math.isnan(fused):
            return pulls, pulls, why
        wanted = least if pulls else least + _GAIN
        votes = fused >= wanted
        return pulls, votes, f"{why}, and that of fused labels, {fused:.3f}, is {_compared(votes)} {wanted:.3f}"

    def propose(self, inputs: Inputs, affine: Matrix, use: Use, progress: Progress) -> Proposal:
        """What the model says of a pair whose affine (target to atlas points, LPS mm) is known.

        Raises `JobError` MODEL_UNFIT where the model's grid shows less than half of the target's body.
        """
        grid = self._frame.around(inputs.target.grid)
        self._require_in_sight(inputs, grid, progress)
        fixed, grid = self._frame.image(inputs.target)
        fixed, moving = fixed.to(self._device), self._aligned(inputs.atlas, grid, affine).to(self._device)
        field = self._model.register(moving, fixed).float().cpu()
        asks = self.segments and (use.fused or use.refinement is Refinement.JOINT)
        probabilities = self._model.segment(fixed).float().softmax(1).cpu() if asks else None
        return Proposal(
            field,
            probabilities,
            self.structures,
            self._structures.values,
            grid,
            inputs.labels,
            affine,
            use,
            {"refinement": use.refinement.value, "fused": use.fused, "model": self._summary()},
        )

    def segmentation(self, scan: Volume) -> tuple[Tensor, Grid]:
        """The probabilities of a scan's classes, (1, K, D, H, W) with background at 0, and where their voxels lie."""
        image, grid = self._frame.image(scan)
        return self._model.segment(image.to(self._device)).float().softmax(1).cpu(), grid

    def _summary(self) -> dict[str, object]:
        measured = {name: score for name, score in self.card.scores.items() if math.isfinite(score)}
        return {"digest": self.card.digest, **self.card.training, "validation": measured}

    def _aligned(self, atlas: Volume, grid: Grid, affine: Matrix) -> Tensor:
        """The atlas behind the affine, (1, 1, D, H, W) on a grid in target space; beyond it is its darkest."""
        image = torch.from_numpy(scaled(atlas.array, self.card.intensity))[None, None]
        darkest = float(image.min())
        image = coarsened(image - darkest, atlas.grid.spacing, grid.spacing)
        return sample(image, affine_positions(grid, atlas.grid, affine, image), padding="zeros") + darkest

    def _require_in_sight(self, inputs: Inputs, grid: Grid, progress: Progress) -> None:
        body = np.argwhere(inputs.body)
        points = inputs.target.grid.to_lps(body[:: max(1, len(body) // _COUNTED), ::-1])
        index = grid.to_index(points)
        share = float(((index > -0.5) & (index < np.asarray(grid.size) - 0.5)).all(1).mean())
        extent = " x ".join(f"{mm:.0f}" for mm in grid.extent)
        if share < _LEAST_SEEN:
            raise JobError(
                Code.MODEL_UNFIT,
                f"The model sees {extent} mm around the target's middle, {share:.0%} of its body.",
                "Crop the target to what the model's training scans show, or take another model.",
            )
        if share < _USUALLY_SEEN:
            progress.caution("model-sight", f"The model sees {extent} mm: {share:.0%} of the target's body.")


def load_model(request: Request, labels: LabelMap, device: torch.device, progress: Progress) -> TrainedModel:
    """The model that a request names, fit for the atlas's labels.

    Raises `JobError`: as of `TrainedModel.load`; MODEL_UNFIT where labels disagree or a joint refinement needs a
    segmentation that the method does not give; REQUEST_INVALID for an unknown method.
    """
    assert request.model is not None  # a request of a trained method names one
    model = TrainedModel.load(request.model, request.method, device)
    model.require_same_structures(labels)
    if request.refinement is Refinement.JOINT and not model.segments:
        raise _unfit(request.model, "it does not segment, as a joint refinement needs", "Refine with images.")
    facts = ", ".join(f"{name} {value:.4g}" for name, value in model.card.training.items())
    progress.log(f"The model: {request.method} ({facts}).")
    if model.merges:
        progress.log(f"{model.merging} Labels keep the atlas's own values.")
    progress.log(model.use(request.refinement).words)
    return model


def _compared(enough: bool) -> str:
    return "at least" if enough else "less than"


def _differ(value: int, name: str, other: str) -> bool:
    """Whether both names of a value were given by someone and are not one but for case and punctuation."""
    unnamed = Label.default(value).name
    plain, its = ("".join(filter(str.isalnum, words.casefold())) for words in (name, other))
    return unnamed not in (name, other) and plain != its


def _disagreeing(what: str) -> JobError:
    return JobError(
        Code.MODEL_UNFIT,
        f"The labels of atlas and model disagree: {what}.",
        "Give an atlas that is labelled as the model's training scans were, or another model.",
    )


def _unfit(path: Path, what: str, advice: str) -> JobError:
    return JobError(Code.MODEL_UNFIT, f"The model package {path} cannot be used: {what}.", advice)
