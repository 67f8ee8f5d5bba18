"""Networks that more than one method is built of, and what a joint model of registration and segmentation offers."""

from .backbone import Backbone
from .blocks import FlowHead, conv_block
from .joint import BOTH, Capability, Group, InputSpec, Intensity, JointModel, JointOutput, Task, TwoNetModel
from .layout import placed
from .obelisk import ObeliskLayer, ObeliskRegistration, ObeliskSegmentation
from .reach import reached_groups
from .unet_light import UNetLight
from .voxelmorph import VoxelMorph

__all__ = [
    "BOTH",
    "Backbone",
    "Capability",
    "FlowHead",
    "Group",
    "InputSpec",
    "Intensity",
    "JointModel",
    "JointOutput",
    "ObeliskLayer",
    "ObeliskRegistration",
    "ObeliskSegmentation",
    "Task",
    "TwoNetModel",
    "UNetLight",
    "VoxelMorph",
    "conv_block",
    "placed",
    "reached_groups",
]
