"""The model of DeepAtlas: a network for each task, VoxelMorph and a light U-Net in the paper."""

from __future__ import annotations

from JointRegSegLib.networks import ObeliskRegistration, ObeliskSegmentation, TwoNetModel, UNetLight, VoxelMorph

from .settings import Settings


def build(settings: Settings, classes: int) -> TwoNetModel:
    """The untrained model for K classes, background included."""
    m = settings.model
    if m.backbone == "obelisk":
        return TwoNetModel(ObeliskRegistration(), ObeliskSegmentation(classes), m.intensity)
    return TwoNetModel(VoxelMorph(), UNetLight(classes), m.intensity)
