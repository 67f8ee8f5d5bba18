"""Nodes become a request: everything is written in world space, under names that say nothing about a patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray

from ..job import Atlas, Code, Device, JobError, LandmarkUse, Overview, Quality, Refinement, Request, Similarity
from ..job.fusion import Fusion
from ..job.request import OPTIMISATION, START_AUTO
from ..library.manifest import overviews_beside
from ..volumes import Grid, LabelMap, present_values, read_label_map, to_sitk, write_affine, write_segmentation
from ..volumes.writing import write_image
from .corrections import Changes
from .geometry import RAS_LPS, Voxels, matrix_of, voxels_of
from .labels import labels_of_segmentation, table_of_label_map
from .points import write_points
from .translation import quoted
from .translation import tr as _

ATLAS, ATLAS_LABELS, ATLAS_MASK = "atlas{}.nrrd", "atlas{}_labels.seg.nrrd", "atlas{}_mask.nrrd"
ATLAS_POINTS, TARGET_POINTS = "atlas{}_points.mrk.json", "target_points.mrk.json"
_MASKS = ("vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLMarkupsROINode")
CORRECTIONS = "corrections.seg.nrrd"
TARGET, TARGET_MASK, START = "target.nrrd", "target_mask.nrrd", "start.tfm"


@dataclass(frozen=True)
class AtlasSource:
    """A labeled scan in the scene or on disk.

    Attributes:
        image, labels: nodes or their IDs, or the paths of two files.
        mask: a label map volume node, a segmentation node or a region of interest, only beside an image in the scene;
            or None.
        points: a markups node, or None.
        table: names and colors of a label file, or None.
        name: what the result calls it; empty for a number, because names may be a patient's.
    """

    image: Any
    labels: Any
    mask: Any = None
    points: Any = None
    table: Path | None = None
    name: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it lies on disk."""
        return isinstance(self.image, Path)


def request_from_nodes(
    scene: Any,
    *,
    atlases: Sequence[AtlasSource],
    target: Any,
    output: Path,
    inputs: Path,
    target_mask: Any = None,
    target_points: Any = None,
    start: Any = START_AUTO,
    quality: Quality = Quality.NORMAL,
    similarity: Similarity = Similarity.AUTO,
    device: Device = Device.AUTO,
    seed: int = 0,
    threads: int | None = None,
    memory_gb: float | None = None,
    overwrite: bool = False,
    method: str = OPTIMISATION,
    model: Path | None = None,
    refinement: Refinement = Refinement.AUTO,
    fusion: Fusion = Fusion.AUTO,
    most_atlases: int | None = None,
    landmark_use: LandmarkUse = LandmarkUse.CONSTRAIN,
    changes: Changes | None = None,
    continue_from: Path | None = None,
) -> tuple[Request, list[str]]:
    """Write the nodes' images to files and describe the run.

    Args:
        scene: the vtkMRMLScene that the nodes belong to.
        atlases: the labelled scans: scalar volume nodes with label map volume nodes or segmentation nodes, or files.
        target: the scan to segment, a scalar volume node; this and the other nodes may be given by ID.
        output: the folder for the result.
        inputs: the folder for the files made here; it is created where missing.
        target_mask: voxels of the target to compare, a label map volume node, a segmentation node or a region of
            interest, or None for all.
        target_points: markups node of the points that the atlases' points belong to, or None.
        start: "auto", "as-placed", a transform file's path, or a linear transform node that would bring the atlas to
            the target as its parent.
        changes: what the user corrected in the result in `continue_from`.
        quality: see `Request`, as for the other settings.

    Returns:
        the request, and sentences about what was done to the images that the user should know.

    Raises:
        JobError: IMAGE_EMPTY, NOT_3D, LABELS_EMPTY, LABELS_ELSEWHERE, LABELS_NEGATIVE, LABELS_NOT_INTEGER,
            LABELS_TOO_LARGE, SEGMENTS_OVERLAP, MASK_EMPTY, MASK_ELSEWHERE, START_INVALID, REQUEST_INVALID,
            LANDMARKS_INVALID, OUTPUT_UNWRITABLE, DISK_FULL.
    """
    export = Export(scene, inputs)
    target_scan = export.volume(target, TARGET, _("target"))
    request = Request(
        atlases=tuple(export.atlas(source, number) for number, source in enumerate(atlases, 1)),
        target=inputs / TARGET,
        output=output,
        target_mask=export.mask(target_mask, TARGET_MASK, target_scan, _("target")),
        quality=quality,
        similarity=similarity,
        start=export.start(start),
        device=device,
        seed=seed,
        threads=threads,
        memory_gb=memory_gb,
        overwrite=overwrite,
        method=method,
        model=model,
        refinement=refinement,
        fusion=fusion,
        most_atlases=most_atlases,
        landmarks=export.points(target_points, TARGET_POINTS, _("target")),
        landmark_use=landmark_use,
        corrections=export.corrections(changes),
        corrected=changes.values if changes is not None else (),
        continue_from=continue_from,
    )
    return request, export.notes


@dataclass(frozen=True)
class _Scan:
    """A volume as its node holds it, and the grid in world space that its file has."""

    voxels: Voxels
    grid: Grid


class Export:
    """Writes nodes to one folder and keeps the notes."""

    def __init__(self, scene: Any, folder: Path) -> None:
        self._scene = scene
        self._folder = folder
        self.notes: list[str] = []
        self._seen: dict[Path, dict[Path, Overview]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise JobError(
                Code.OUTPUT_UNWRITABLE,
                _("{folder} cannot be made: {problem}.").format(folder=folder, problem=problem.strerror),
                _("Choose another folder."),
            ) from problem

    def volume(self, given: Any, file: str, role: str) -> _Scan:
        """Write a volume in world space."""
        node = self._node(given, ("vtkMRMLScalarVolumeNode",), role)
        voxels = voxels_of(node)
        volume, resampled = voxels.in_world()
        if resampled:
            size = " x ".join(str(n) for n in volume.grid.size)
            self.notes.append(
                _(
                    "The {role} {name} is under a transform that shears or bends it, so a copy resampled in world space"
                    " is used ({size} voxels)."
                ).format(role=role, name=quoted(node.GetName()), size=size)
            )
        elif node.GetParentTransformNode() is not None:
            note = _("The {role} {name} is used where its transform places it.")
            self.notes.append(note.format(role=role, name=quoted(node.GetName())))
        write_image(self._folder / file, to_sitk(volume.array, volume.grid), compress=False)
        return _Scan(voxels, volume.grid)

    def atlas(self, source: AtlasSource, number: int) -> Atlas:
        """Write an atlas, or name its files."""
        points = self.points(source.points, ATLAS_POINTS.format(number), _("atlas"))
        if source.is_file:
            beside = source.image.parent
            if beside not in self._seen:
                self._seen[beside] = overviews_beside(beside)
            return Atlas(
                source.image,
                source.labels,
                source.table,
                landmarks=points,
                name=source.name,
                overview=self._seen[beside].get(source.image),
            )
        file = ATLAS.format(number)
        scan = self.volume(source.image, file, _("atlas"))
        return Atlas(
            image=self._folder / file,
            labels=self.labels(source.labels, ATLAS_LABELS.format(number), scan),
            mask=self.mask(source.mask, ATLAS_MASK.format(number), scan, _("atlas")),
            landmarks=points,
            name=source.name,
        )

    def points(self, given: Any, file: str, role: str) -> Path | None:
        """Write points, or nothing where none are given."""
        if given is None or given == "":
            return None
        write_points(
            self._folder / file, self._node(given, ("vtkMRMLMarkupsNode",), _("{role} points").format(role=role))
        )
        return self._folder / file

    def corrections(self, changes: Changes | None) -> Path | None:
        """Write labels as the user left them, or nothing where none were corrected."""
        if changes is None:
            return None
        write_segmentation(self._folder / CORRECTIONS, changes.labels)
        return self._folder / CORRECTIONS

    def labels(self, given: Any, file: str, scan: _Scan) -> Path:
        """Write the atlas's labels on the atlas's grid, with names, colors and terminology."""
        node = self._node(given, ("vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode"), _("atlas labels"))
        if node.IsA("vtkMRMLSegmentationNode"):
            voxels, table = labels_of_segmentation(node, scan.voxels)
        else:
            voxels = self._checked(node)
            table = table_of_label_map(node, present_values(voxels.array))
        array = voxels.resampled(scan.grid, nearest=True)
        values = present_values(array)
        if not values:
            raise JobError(
                Code.LABELS_ELSEWHERE,
                _("The labels {name} lie nowhere on the atlas.").format(name=quoted(node.GetName())),
                _("Give labels that were drawn on the atlas, and put both under the same transform."),
            )
        lost = [label.name for value, label in table.items() if value not in values]
        if lost:
            note = _("Without voxels on the atlas, and so left out: {names}.")
            self.notes.append(note.format(names=", ".join(quoted(each) for each in lost)))
        write_segmentation(self._folder / file, LabelMap(array, scan.grid, table.restricted(values)))
        return self._folder / file

    def mask(self, given: Any, file: str, scan: _Scan, role: str) -> Path | None:
        """Write a mask on its scan's grid, or nothing where none is given."""
        if given is None or given == "":
            return None
        node = self._node(given, _MASKS, _("{role} mask").format(role=role))
        if node.IsA("vtkMRMLMarkupsROINode"):
            return self._region(node, file, scan, role)
        segmented = node.IsA("vtkMRMLSegmentationNode")
        voxels = labels_of_segmentation(node, scan.voxels, overlap_allowed=True)[0] if segmented else voxels_of(node)
        if not voxels.array.any():
            raise JobError(
                Code.MASK_EMPTY,
                _("The mask {name} leaves no voxel.").format(name=quoted(node.GetName())),
                _("Mark the voxels to compare with 1."),
            )
        binary = Voxels((voxels.array != 0).astype(np.uint8), voxels.ijk_to_ras, voxels.parent)
        return self._mask_file(node, binary.resampled(scan.grid, nearest=True), file, scan, role)

    def _region(self, node: Any, file: str, scan: _Scan, role: str) -> Path:
        """Write the box of a region of interest as a mask."""
        size = node.GetSize()
        into = np.linalg.inv(matrix_of(node.GetObjectToWorldMatrix())) @ RAS_LPS @ scan.grid.matrix
        k, j, i = np.ogrid[tuple(slice(n) for n in scan.grid.shape)]
        inside = np.ones(scan.grid.shape, np.bool_)
        for axis in range(3):
            along = into[axis, 0] * i + into[axis, 1] * j + into[axis, 2] * k + into[axis, 3]
            inside &= np.abs(along) <= size[axis] / 2
        return self._mask_file(node, inside.astype(np.uint8), file, scan, role)

    def _mask_file(self, node: Any, array: NDArray[np.uint8], file: str, scan: _Scan, role: str) -> Path:
        if not array.any():
            raise JobError(
                Code.MASK_ELSEWHERE,
                _("The mask {name} lies nowhere on the {role}.").format(name=quoted(node.GetName()), role=role),
                _("Give a mask that was drawn on the {role}, and put both under the same transform.").format(role=role),
            )
        write_image(self._folder / file, to_sitk(array, scan.grid), compress=False)
        return self._folder / file

    def start(self, given: Any) -> str:
        """The request's word for the start; a transform node is written to a file."""
        node = self._scene.GetNodeByID(given) if isinstance(given, str) else given
        if node is None or isinstance(node, Path):
            return str(given)
        if not node.IsTransformToWorldLinear():
            raise JobError(
                Code.START_INVALID,
                _("The start {name} is not linear.").format(name=quoted(node.GetName())),
                _("Give a rigid or affine transform."),
            )
        from_world = vtk.vtkMatrix4x4()
        node.GetMatrixTransformFromWorld(from_world)
        write_affine(self._folder / START, RAS_LPS @ matrix_of(from_world) @ RAS_LPS)
        return str(self._folder / START)

    def _checked(self, node: Any) -> Voxels:
        """A label map node's voxels as labels; what is wrong with them is said by the node's name, not a file's."""
        voxels = voxels_of(node)
        file = self._folder / "labels_as_given.nrrd"
        try:
            plain = Grid(voxels.size)
            write_image(file, to_sitk(voxels.array, plain), compress=False)
            labels = read_label_map(file)
        except JobError as problem:
            message = problem.message.replace(str(file), quoted(node.GetName()))
            raise JobError(problem.code, message, problem.advice) from problem
        finally:
            file.unlink(missing_ok=True)
        return Voxels(labels.array, voxels.ijk_to_ras, voxels.parent)

    def _node(self, given: Any, classes: tuple[str, ...], role: str) -> Any:
        node = self._scene.GetNodeByID(given) if isinstance(given, str) and given else given
        if node is None or node == "":
            raise JobError(
                Code.REQUEST_INVALID,
                _("There is no {role}.").format(role=role),
                _("Choose the {role} first.").format(role=role),
            )
        if not any(node.IsA(name) for name in classes):
            raise JobError(
                Code.REQUEST_INVALID,
                _("{name} cannot be the {role}: it is a {kind}.").format(
                    name=quoted(node.GetName()), role=role, kind=node.GetNodeTagName()
                ),
                _("Give one of these: {kinds}.").format(
                    kinds=", ".join(each.removeprefix("vtkMRML").removesuffix("Node") for each in classes)
                ),
            )
        return node
