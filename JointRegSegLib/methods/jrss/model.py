"""The model of JRSS: a hybrid obelisk network for each task."""

from __future__ import annotations

from JointRegSegLib.networks import ObeliskRegistration, ObeliskSegmentation, TwoNetModel

from .settings import Settings


def build(settings: Settings, classes: int) -> TwoNetModel:
    """The untrained model for K classes, background included; its segmentation network is the student."""
    m = settings.model
    reg = ObeliskRegistration(m.leak, m.legacy_grid)
    seg = ObeliskSegmentation(classes, settings.noise.dropout, m.leak, m.legacy_grid)
    return TwoNetModel(reg, seg, m.intensity)
