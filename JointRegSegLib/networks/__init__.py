"""Networks that more than one method is built of, and what a joint model of registration and segmentation offers."""

from .backbone import Backbone
from .joint import BOTH, Capability, Group, InputSpec, Intensity, JointModel, JointOutput, Task, TwoNetModel
from .reach import reached_groups

__all__ = [
    "BOTH",
    "Backbone",
    "Capability",
    "Group",
    "InputSpec",
    "Intensity",
    "JointModel",
    "JointOutput",
    "Task",
    "TwoNetModel",
    "reached_groups",
]
