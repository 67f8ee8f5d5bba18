"""One definition of every figure that is reported. Arrays in, numbers out; numpy and scipy only."""

from .jacobian import JacobianStatistics, statistics
from .overlap import dice
from .surface import hd95

__all__ = ["JacobianStatistics", "dice", "hd95", "statistics"]
