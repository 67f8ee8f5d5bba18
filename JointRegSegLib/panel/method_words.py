"""A method in words: what it is, when to use it, and what its model was trained on."""

from __future__ import annotations

import html

from slicer.i18n import tr as _

from ..job.request import OPTIMISATION
from ..library.models import Installed
from ..methods import METHODS, REGISTERING
from ..training.card import Card
from .remembered import run_seconds
from .words import duration

_NAMED = 8


def method_name(method: str) -> str:
    """What people call a method."""
    return _("Optimization") if method == OPTIMISATION else METHODS[method].partition(":")[0]


def when_to_use(method: str) -> str:
    """When to choose a method, in a sentence or two."""
    return {
        OPTIMISATION: _(
            "Needs no training and works with any anatomy that both scans show. Choose it unless a model was made for"
            " scans like yours."
        ),
        "bijros": _(
            "Choose it for scans like those of its training where the registration matters most: it is learned first,"
            " and the segmentation follows it."
        ),
        "deepatlas": _(
            "Choose it for scans like those of its training where only a few of them were labeled: its two networks"
            " taught each other."
        ),
        "jrss": _(
            "Choose it for scans like those of its training where very few of them were labeled: it learned from its"
            " own screened segmentations of the others."
        ),
        "mmln": _(
            "Choose it for scans like those of its training where no labels were at hand: it learned from the scans"
            " alone."
        ),
        "pgcnet": _(
            "Choose it for scans like those of its training where structures move far: registration and segmentation"
            " help each other from coarse to fine."
        ),
        "synthmorph": _(
            "Choose it for scans like those of its training, of whatever contrast: it learned from label maps and"
            " images made of them."
        ),
    }[method]


def how_it_segments(method: str) -> str:
    """Where a trained method's labels come from."""
    if method in REGISTERING:
        return _(
            "It has no segmentation of its own: the labels of the result are the atlas's, carried over (propagation)."
        )
    return _("Its own segmentation joins the carried labels where its validation showed that it deserves to.")


def describe(model: Installed | None, method: str, quality: str) -> str:
    """Rich text about a choice.

    Args:
        model: the chosen model, or None for the optimization.
        method: the model's, or the optimization.
        quality: as `Request.quality`, for the time that such a run takes.
    """
    if model is not None and model.card is None:
        return f"<p>{html.escape(model.problem)}</p>"
    sentences = [when_to_use(method)]
    if model is not None and model.card is not None:
        sentences = [METHODS[method] + ".", *sentences, how_it_segments(method), *_of_card(model.card)]
    seconds = run_seconds(model.name if model is not None else method, quality)
    if seconds is None:
        sentences.append(_("No run of this kind has been done on this computer yet."))
    else:
        sentences.append(_("The latest run of this kind took {time} on this computer.").format(time=duration(seconds)))
    return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)


def _of_card(card: Card) -> list[str]:
    names = [structure.name for structure in card.structures]
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    spacing = " x ".join(f"{s:.3g}" for s in card.spacing)
    sentences = [
        _("Structures: {count} ({names}).").format(count=len(names), names=shown),
        _("Trained on {subjects:.0f} scans, {labeled:.0f} of them labeled, at {spacing} mm.").format(
            subjects=card.training.get("subjects", 0), labeled=card.training.get("labelled", 0), spacing=spacing
        ),
        _("License of its training data: {licence}").format(licence=card.licence.strip())
        if card.licence.strip()
        else _("The license of its training data is not stated: ask who made it before you use it beyond research."),
    ]
    if card.scores:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in card.scores.items())
        sentences.append(_("Dice on scans that it was not trained on: {scores}.").format(scores=scores))
    if card.has_position_map:
        voxels = " x ".join(str(n) for n in card.size)
        sentences.append(
            _(
                "Its position map belongs to the training grid, {voxels} voxels of {spacing} mm around a scan's middle:"
                " it expects structures where they were in training, and the map is resampled for a grid of another"
                " size."
            ).format(voxels=voxels, spacing=spacing)
        )
    if card.software:
        sentences.append(_("Trained by JointRegSeg {version}.").format(version=card.software))
    return sentences
