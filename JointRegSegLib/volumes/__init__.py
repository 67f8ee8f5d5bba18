"""Scans, label maps, fields and affines as values, and the files they live in. No torch here."""

from .boxes import Box, box_around, boxes_of_labels, widened
from .foreground import Foreground, find_foreground, scaled_intensities
from .grid import Grid
from .images import read_grid
from .labels import Label, LabelTable
from .orientation import canonical, reorient
from .points import Points, paired, read_points
from .reading import read_label_map, read_mask, read_volume
from .resampling import resample_labels_to, resample_volume_to, to_sitk
from .tables import read_label_table, write_label_table
from .transforms import read_affine, read_field, write_affine, write_field
from .volume import LabelMap, Volume, present_values
from .writing import write_label_map, write_segmentation, write_volume

__all__ = [
    "Box",
    "Foreground",
    "Grid",
    "Label",
    "LabelMap",
    "LabelTable",
    "Points",
    "Volume",
    "box_around",
    "boxes_of_labels",
    "canonical",
    "find_foreground",
    "paired",
    "present_values",
    "read_affine",
    "read_field",
    "read_grid",
    "read_label_map",
    "read_label_table",
    "read_mask",
    "read_points",
    "read_volume",
    "reorient",
    "resample_labels_to",
    "resample_volume_to",
    "scaled_intensities",
    "to_sitk",
    "widened",
    "write_affine",
    "write_field",
    "write_label_map",
    "write_label_table",
    "write_segmentation",
    "write_volume",
]
