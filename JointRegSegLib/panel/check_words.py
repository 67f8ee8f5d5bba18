"""What a measure is, and why it asks for a look, in plain words."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..job import Measure, Status


def plain_name(measure: Measure) -> str:
    """What a measure is called in the panel; its own name where the panel knows no better."""
    how = measure.name.partition(" ")[0]
    return {
        "folding_percent": _("Tissue turned inside out"),
        "jacobian_min": _("Strongest shrinking (1: none)"),
        "jacobian_max": _("Strongest growing (1: none)"),
        "sdlogj": _("Unevenness of the deformation"),
        "inverse_error_mean": _("There and back, mean error"),
        "inverse_error_p999": _("There and back, largest error"),
        "similarity_before": _("Likeness before ({how})").format(how=how),
        "similarity_after": _("Likeness after ({how})").format(how=how),
        "landmark_error_before_mm": _("Landmarks, error before"),
        "landmark_error_mm": _("Landmarks, error"),
        "landmark_error_max_mm": _("Landmarks, largest error"),
        "atlases_fused": _("Atlases used"),
        "confidence_mean": _("Agreement of the atlases (1: full)"),
        "review_percent": _("Labeled voxels to look at"),
    }.get(measure.key, measure.name)


def why(measure: Measure) -> str:
    """What a measure that is not good means, and what to do; empty for a good one and for one that is only told."""
    if measure.status not in (Status.LOOK, Status.BAD):
        return ""
    folds = _(
        "The deformation turns tissue inside out in places. Look at them with Show Jacobian; do not measure there."
    )
    stretch = _("The deformation stretches and squeezes strongly. Compare the scans with Checkerboard.")
    back = _("There and back does not lead to the same place. Use the transforms with care where precision matters.")
    return {
        "folding_percent": folds,
        "jacobian_min": folds,
        "sdlogj": stretch,
        "inverse_error_mean": back,
        "inverse_error_p999": back,
        "similarity_after": _(
            "The scans are no more alike than before. Check that both show the same part of the body; give masks or a"
            " start transform."
        ),
        "review_percent": _("The atlases disagree on many voxels. Look at the structures of low confidence first."),
    }.get(measure.key, _("It is outside the range that good results have."))
