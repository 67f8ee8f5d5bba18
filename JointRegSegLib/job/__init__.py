"""The words every room speaks: request, result, events, quality and errors. Standard library only."""

from .errors import Code, JobError
from .events import Event, Kind
from .fusion import Fusion
from .overview import Overview
from .quality import Caution, LabelVolume, Measure, QualityTable, Status, StepCost
from .request import Atlas, Device, LandmarkUse, Quality, Refinement, Request, Similarity
from .result import Result

__all__ = [
    "Atlas",
    "Caution",
    "Code",
    "Device",
    "Event",
    "Fusion",
    "JobError",
    "Kind",
    "LabelVolume",
    "LandmarkUse",
    "Measure",
    "Overview",
    "Quality",
    "QualityTable",
    "Refinement",
    "Request",
    "Result",
    "Similarity",
    "Status",
    "StepCost",
]
