"""The model of DeepAtlas: VoxelMorph for registration, a light U-Net for segmentation."""

from __future__ import annotations

from JointRegSegLib.networks import TwoNetModel, UNetLight, VoxelMorph

from .settings import Settings


def build(settings: Settings, classes: int) -> TwoNetModel:
    """The untrained model for K classes, background included."""
    return TwoNetModel(VoxelMorph(), UNetLight(classes), settings.model.intensity)
