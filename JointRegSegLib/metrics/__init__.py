"""One definition of every figure that is reported. Arrays in, numbers out; numpy and scipy only."""

from .jacobian import JacobianStatistics, statistics
from .overlap import dice
from .similarity import ncc
from .surface import hd95, hd95_each
from .volume_change import topology_change

__all__ = ["JacobianStatistics", "dice", "hd95", "hd95_each", "ncc", "statistics", "topology_change"]
