"""Labels as Slicer holds them, in a label map node or a segmentation node, and what their values are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from numpy.typing import NDArray

from ..job import Code, JobError
from ..volumes import Label, LabelTable, present_values
from ..volumes.labels import MAX_VALUE
from ..volumes.terminology import from_entry, to_entry
from .geometry import Matrix, Voxels, array_of, matrix_of, vtk_image, vtk_matrix
from .translation import quoted
from .translation import tr as _

_BINARY = "Binary labelmap"


def labels_of_segmentation(node: Any, like: Voxels, *, overlap_allowed: bool = False) -> tuple[Voxels, LabelTable]:
    """All segments of a segmentation node as one label map in the node's own space.

    Label values are the segments' own where they differ from one another, else 1, 2, 3 in the segments' order.

    Args:
        node: a vtkMRMLSegmentationNode; it is not changed, also where its binary label maps must be made first.
        like: the image whose voxels segments that are surfaces are drawn into; neighbors may then share border voxels,
            which the first keeps.
        overlap_allowed: whether segments may share voxels (for masks).

    Raises `JobError`: LABELS_EMPTY; SEGMENTS_OVERLAP, naming two of the segments; LABELS_TOO_LARGE.
    """
    segmentation, drawn = with_label_maps(node, like)
    table, values = _table(segmentation)
    geometry = slicer.vtkOrientedImageData()
    text = segmentation.DetermineCommonLabelmapGeometry(segmentation.EXTENT_UNION_OF_SEGMENTS, None)
    slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, geometry, False)
    extent = geometry.GetExtent()
    if not text or extent[0] > extent[1]:
        raise _empty(node)
    merged = np.zeros([extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0)], np.uint16)
    for mine in layers_on(segmentation, geometry, values):
        both = (merged > 0) & (mine > 0)
        if both.any() and not overlap_allowed and not (drawn and _is_thin(both)):
            raise overlap(node, table[int(merged[both][0])].name, table[int(mine[both][0])].name)
        merged = np.where(merged > 0, merged, mine)
    if not merged.any():
        raise _empty(node)
    return Voxels(merged, _first_voxel_at(geometry), node.GetParentTransformNode()), table


def table_of_label_map(node: Any, values: list[int]) -> LabelTable:
    """What a label map node's color node calls these values; defaults where it has no name."""
    display = node.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    if colors is None:
        return LabelTable.default(values)
    return LabelTable(_label_from_colors(colors, value) for value in values)


def color_table(scene: Any, name: str, table: LabelTable) -> Any:
    """A color table node with the labels' names, colors and terminology at their values; 0 is transparent."""
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetHideFromEditors(False)
    node.SetNumberOfColors(max(table, default=0) + 1)
    node.SetColor(0, "background", 0.0, 0.0, 0.0, 0.0)
    for label in table.values():
        red, green, blue = (channel / 255 for channel in label.color)
        node.SetColor(label.value, label.name, red, green, blue, 1.0)
        if _has_whole_codes(label.terminology):
            node.SetTerminologyFromString(label.value, to_entry(label.terminology))
    return node


def add_segments(segmentation_node: Any, voxels: NDArray[Any], ijk_to_ras: Any, table: LabelTable) -> None:
    """Put a label map into a segmentation node: one segment for each label of the table that has voxels.

    Segment IDs are "Segment_" and the value, so that programs find them again. All share one layer.
    """
    image = oriented_image(voxels, ijk_to_ras)
    segmentation = segmentation_node.GetSegmentation()
    segmentation.SetSourceRepresentationName(_BINARY)
    for value in present_values(voxels):
        label = table[value]
        segment = slicer.vtkSegment()
        segment.SetName(label.name)
        segment.SetColor(*(channel / 255 for channel in label.color))
        segment.SetLabelValue(value)
        if label.terminology:
            segment.SetTag(segment.GetTerminologyEntryTagName(), to_entry(label.terminology))
        segment.AddRepresentation(_BINARY, image)
        segmentation.AddSegment(segment, segment_id(value))


def segment_id(value: int) -> str:
    """The ID of the segment that a result's label value has."""
    return f"Segment_{value}"


def layers_on(segmentation: Any, geometry: Any, values: Mapping[str, int]) -> Iterator[NDArray[np.uint16]]:
    """The layers of binary label maps (k, j, i) on a geometry; segments share a layer where they do not overlap.

    Args:
        segmentation: a vtkSegmentation with binary label maps.
        geometry: a vtkOrientedImageData.
        values: the value that each segment ID gets; segments without one are left out.
    """
    for layer in range(segmentation.GetNumberOfLayers(_BINARY)):
        voxels = _on_geometry(segmentation.GetLayerDataObject(layer, _BINARY), geometry)
        yield _renumbered(voxels, segmentation, segmentation.GetSegmentIDsForLayer(layer, _BINARY), values)


def with_label_maps(node: Any, like: Voxels) -> tuple[Any, bool]:
    """A segmentation that has binary label maps, own or copied, and whether they were drawn from surfaces."""
    segmentation = node.GetSegmentation()
    if segmentation is None or segmentation.GetNumberOfSegments() == 0:
        raise _empty(node)
    if segmentation.ContainsRepresentation(_BINARY):
        return segmentation, False
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    lattice = oriented_image(np.zeros(like.array.shape, np.uint8), vtk_matrix(like.ijk_to_ras))
    converter = slicer.vtkSegmentationConverter
    copy.SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(lattice)
    )
    if not copy.CreateRepresentation(_BINARY):
        raise _empty(node)
    return copy, True


def _is_thin(mask: NDArray[np.bool_]) -> bool:
    """Whether no voxel of the mask has all six neighbors in it."""
    return not sitk.GetArrayViewFromImage(
        sitk.BinaryErode(sitk.GetImageFromArray(mask.astype(np.uint8)), [1, 1, 1])
    ).any()


def _table(segmentation: Any) -> tuple[LabelTable, dict[str, int]]:
    """The segments as a table, and the label value of each segment ID."""
    ids = list(segmentation.GetSegmentIDs())
    own = [int(segmentation.GetSegment(i).GetLabelValue()) for i in ids]
    distinct = len(set(own)) == len(own) and min(own) >= 1 and max(own) <= MAX_VALUE
    if not distinct and len(ids) > MAX_VALUE:
        raise JobError(
            Code.LABELS_TOO_LARGE,
            _("There are {count} segments.").format(count=len(ids)),
            _("Give {count} or fewer.").format(count=MAX_VALUE),
        )
    values = dict(zip(ids, own if distinct else range(1, len(ids) + 1), strict=True))
    return LabelTable(_label_from_segment(segmentation.GetSegment(i), value) for i, value in values.items()), values


def _label_from_segment(segment: Any, value: int) -> Label:
    name = segment.GetName() or _("label {value}").format(value=value)
    return Label(value, name, _bytes(segment.GetColor()), from_entry(segment.GetTerminology()))


def _label_from_colors(colors: Any, value: int) -> Label:
    defined = value < colors.GetNumberOfColors() and colors.GetColorDefined(value)
    if not defined or not colors.GetColorName(value):
        return Label.default(value)
    rgba = [0.0, 0.0, 0.0, 0.0]
    colors.GetColor(value, rgba)
    entry = colors.GetTerminologyAsString(value) if colors.GetContainsTerminology() else ""
    return Label(value, colors.GetColorName(value), _bytes(rgba[:3]), from_entry(entry))


def _has_whole_codes(terminology: dict[str, str]) -> bool:
    """Whether category and type are complete: a color table with less is saved, but cannot be read again."""
    parts = ("CodingScheme", "CodeValue", "CodeMeaning")
    return all(terminology.get(f"{place}_{part}") for place in ("Category", "Type") for part in parts)


def _bytes(color: Any) -> tuple[int, int, int]:
    red, green, blue = (round(float(channel) * 255) for channel in color)
    return red, green, blue


def oriented_image(voxels: NDArray[Any], ijk_to_ras: Any) -> Any:
    image = slicer.vtkOrientedImageData()
    image.DeepCopy(vtk_image(voxels))
    image.SetImageToWorldMatrix(ijk_to_ras)
    return image


def _on_geometry(image: Any, geometry: Any) -> NDArray[Any]:
    """A layer's voxels (k, j, i) on the common geometry."""
    moved = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        image, geometry, moved, False, False
    )
    return array_of(moved)


def _renumbered(voxels: NDArray[Any], segmentation: Any, ids: Any, values: Mapping[str, int]) -> NDArray[np.uint16]:
    """A layer's voxels with the final values; those that no segment with a value owns are 0."""
    known = {int(segmentation.GetSegment(i).GetLabelValue()): values.get(i, 0) for i in ids}
    lookup = np.zeros(max([int(voxels.max(initial=0)), *known]) + 1, np.uint16)
    for old, new in known.items():
        lookup[old] = new
    return lookup[voxels.astype(np.int64)]


def _first_voxel_at(geometry: Any) -> Matrix:
    """4x4 from array indices to RAS: the image's own matrix counts from its extent's zero."""
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    shift = np.eye(4)
    shift[:3, 3] = geometry.GetExtent()[::2]
    return matrix_of(matrix) @ shift


def _empty(node: Any) -> JobError:
    return JobError(
        Code.LABELS_EMPTY,
        _("The segmentation {name} has no voxels.").format(name=quoted(node.GetName())),
        _("Give a segmentation with structures."),
    )


def overlap(node: Any, first: str, second: str) -> JobError:
    """The error for two segments of a node that share voxels."""
    return JobError(
        Code.SEGMENTS_OVERLAP,
        _("The segments {first} and {second} of {name} overlap.").format(
            first=quoted(first), second=quoted(second), name=quoted(node.GetName())
        ),
        _("A voxel can have one label only: remove the overlap in the Segment Editor (Logical operators, Subtract)."),
    )
