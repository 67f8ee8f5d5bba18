"""Networks that more than one method is built of, and what a joint model of registration and segmentation offers."""

from .backbone import Backbone
from .blocks import conv_block, flow_head
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
    "flow_head",
    "placed",
    "reached_groups",
]
