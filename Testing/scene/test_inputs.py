"""Nodes become files: every voxel where the scene shows it, labels under their names, nothing of a patient's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError, Request
from JointRegSegLib.volumes import Grid, read_affine, read_label_map, read_mask, read_volume
from Testing.engine.library_cases import write_scans
from Testing.rig.need import need

need("slicer", "slicer-core")
import slicer.util  # noqa: E402
import vtk  # noqa: E402

from JointRegSegLib.library.create import Plan, create  # noqa: E402
from JointRegSegLib.library.manifest import MemberOverview, Overviews, read_library  # noqa: E402
from JointRegSegLib.scene import AtlasSource, request_from_nodes  # noqa: E402

pytestmark = pytest.mark.mrml

FLIP = np.diag((-1.0, -1.0, 1.0, 1.0))
OBLIQUE = np.linalg.qr(np.array([[1.0, 0.3, -0.2], [-0.25, 1.0, 0.4], [0.1, -0.35, 1.0]]))[0]
GRID = Grid((30, 26, 22), (1.5, 2.0, 2.5), (-20.0, 15.0, 40.0), tuple(OBLIQUE.ravel()))
SHAPE = GRID.shape
SEGMENTS = {3: ("left  thing", (255, 0, 0)), 7: ("right thing", (0, 128, 255)), 12: ("bridge", (10, 200, 30))}


def a_scan() -> Any:
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return (1000.0 * np.exp(-3.0 * ((i - 0.2) ** 2 + j**2 + (k + 0.1) ** 2)) - 500.0).astype(np.float32)


def some_labels() -> Any:
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:12, 4:12, 5:14] = 3
    labels[5:12, 12:20, 5:14] = 7
    labels[13:19, 6:18, 10:25] = 12
    return labels


def a_linear(scene: Any, matrix_ras: Any) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "patient moved")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix_ras))
    return node


def a_bending(scene: Any) -> Any:
    """A grid transform over the whole scan, about 6 mm."""
    steps = 12
    grid = np.zeros((steps, steps, steps, 3))
    k, j, i = np.meshgrid(*(np.linspace(0, np.pi, steps),) * 3, indexing="ij")
    grid[..., 0] = 6.0 * np.sin(i) * np.sin(j) * np.sin(k)
    grid[..., 2] = -4.0 * np.sin(2 * i) * np.sin(j) * np.sin(k)
    image = vtk.vtkImageData()
    image.SetDimensions(steps, steps, steps)
    centre = GRID.centre * (-1, -1, 1)
    image.SetOrigin(*(centre - 66.0))
    image.SetSpacing(12.0, 12.0, 12.0)
    vectors = vtk.util.numpy_support.numpy_to_vtk(grid.reshape(-1, 3), deep=True)
    image.GetPointData().SetScalars(vectors)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(image)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bending")
    node.SetAndObserveTransformFromParent(transform)
    return node


@pytest.fixture
def an_atlas(a_volume_node: Callable[..., Any]) -> Any:
    return a_volume_node(a_scan(), FLIP @ GRID.matrix, "Doe^Jane")


@pytest.fixture
def a_target(a_volume_node: Callable[..., Any]) -> Any:
    return a_volume_node(np.rint(a_scan()[::-1]).astype(np.int16), np.diag((-1.0, 1.0, 3.0, 1.0)), "Roe^Richard")


@pytest.fixture
def a_label_map(a_scene: Any, a_volume_node: Callable[..., Any]) -> Any:
    node = a_volume_node(some_labels(), FLIP @ GRID.matrix, "labels of Doe", "vtkMRMLLabelMapVolumeNode")
    colors = a_scene.AddNewNodeByClass("vtkMRMLColorTableNode", "names")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(13)
    for value, (name, color) in SEGMENTS.items():
        colors.SetColor(value, name, *(channel / 255 for channel in color), 1.0)
    colors.SetTerminology(3, "SCT", "123037004", "Anatomical Structure", "SCT", "10200004", "Liver")
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


@pytest.fixture
def a_segmentation(a_scene: Any, a_label_map: Any) -> Any:
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments of Doe")
    node.CreateDefaultDisplayNodes()
    assert slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(a_label_map, node)
    return node


@pytest.fixture
def ask(a_scene: Any, an_atlas: Any, a_target: Any, a_label_map: Any, tmp_path: Path) -> Callable[..., Any]:
    """Makes a request from the usual nodes, any of them replaced."""

    def make(**changed: Any) -> tuple[Request, list[str]]:
        names = {"atlas": "image", "atlas_labels": "labels", "atlas_mask": "mask", "atlas_points": "points"}
        parts = {part: changed.pop(name) for name, part in names.items() if name in changed}
        atlas = AtlasSource(**{"image": an_atlas, "labels": a_label_map} | parts)
        nodes = {"atlases": [atlas], "target": a_target} | changed
        return request_from_nodes(a_scene, output=tmp_path / "result", inputs=tmp_path / "inputs", **nodes)

    return make


def assert_named(path: Path) -> None:
    table = read_label_map(path).table
    assert {value: (label.name, label.color) for value, label in table.items()} == {
        value: (" ".join(name.split()), color) for value, (name, color) in SEGMENTS.items()
    }


def resampled_by_simpleitk(array: Any, matrix_ras: Any, onto: Grid, interpolator: int, default: float = 0.0) -> Any:
    """What lies at the points of `onto` when an image on GRID is moved by a linear transform (RAS, to world)."""
    back = FLIP @ np.linalg.inv(matrix_ras) @ FLIP
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(back[:3, :3].ravel().tolist())
    transform.SetTranslation(back[:3, 3].tolist())
    image = GRID.place(sitk.GetImageFromArray(array))
    return sitk.GetArrayFromImage(sitk.Resample(image, onto.empty_image(), transform, interpolator, default))


def test_scans_arrive_voxel_for_voxel_in_their_own_type(ask: Callable[..., Any]) -> None:
    request, notes = ask()
    assert notes == []
    atlas, target = read_volume(request.atlases[0].image), sitk.ReadImage(str(request.target))
    assert atlas.grid.same_as(GRID, 1e-6)
    assert np.array_equal(atlas.array, a_scan())
    assert target.GetPixelID() == sitk.sitkInt16
    assert np.allclose(target.GetSpacing(), (1.0, 1.0, 3.0))
    assert np.array_equal(sitk.GetArrayFromImage(target), np.rint(a_scan()[::-1]))


def test_labels_keep_values_names_colors_and_terminology(ask: Callable[..., Any]) -> None:
    request, _ = ask()
    labels = read_label_map(request.atlases[0].labels)
    assert np.array_equal(labels.array, some_labels())
    assert labels.grid.same_as(GRID, 1e-5)
    assert_named(request.atlases[0].labels)
    assert labels.table[3].terminology["Type_CodeMeaning"] == "Liver"


def test_a_segmentation_gives_the_same_labels_as_its_label_map(ask: Callable[..., Any], a_segmentation: Any) -> None:
    request, notes = ask(atlas_labels=a_segmentation)
    assert np.array_equal(read_label_map(request.atlases[0].labels).array, some_labels())
    assert_named(request.atlases[0].labels)
    assert notes == []


def test_a_segment_s_terminology_survives(ask: Callable[..., Any], a_segmentation: Any) -> None:
    from JointRegSegLib.volumes.terminology import to_entry

    wanted = {"Category_CodingScheme": "SCT", "Type_CodingScheme": "SCT", "Type_CodeMeaning": "Kidney"}
    segment = a_segmentation.GetSegmentation().GetNthSegment(1)
    segment.SetTerminology(to_entry(wanted))
    request, _ = ask(atlas_labels=a_segmentation)
    assert read_label_map(request.atlases[0].labels).table[7].terminology == wanted


def test_segments_from_surfaces_alone_are_drawn_first(ask: Callable[..., Any], a_segmentation: Any) -> None:
    segmentation = a_segmentation.GetSegmentation()
    segmentation.CreateRepresentation("Closed surface")
    segmentation.SetSourceRepresentationName("Closed surface")
    segmentation.RemoveRepresentation("Binary labelmap")
    request, _ = ask(atlas_labels=a_segmentation)
    found = read_label_map(request.atlases[0].labels)
    wanted = np.select([some_labels() == value for value in SEGMENTS], [1, 2, 3])
    assert (found.array == wanted).mean() > 0.97
    assert [label.name for label in found.table.values()] == ["left thing", "right thing", "bridge"]
    assert not segmentation.ContainsRepresentation("Binary labelmap")


def test_overlapping_segments_are_refused_by_name(ask: Callable[..., Any], a_segmentation: Any) -> None:
    overlapping = np.zeros(SHAPE, np.uint8)
    overlapping[8:16, 6:18, 10:25] = 1
    lump = slicer.util.addVolumeFromArray(overlapping, FLIP @ GRID.matrix, "lump", "vtkMRMLLabelMapVolumeNode")
    lump.CreateDefaultDisplayNodes()
    assert slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(lump, a_segmentation)
    a_segmentation.GetSegmentation().GetNthSegment(3).SetName("lump")
    with pytest.raises(JobError, match="“lump”") as problem:
        ask(atlas_labels=a_segmentation)
    assert problem.value.code is Code.SEGMENTS_OVERLAP


def test_segments_in_several_layers_with_one_value_are_numbered(ask: Callable[..., Any], a_segmentation: Any) -> None:
    a_segmentation.GetSegmentation().SeparateSegmentLabelmap(a_segmentation.GetSegmentation().GetNthSegmentID(1))
    values = [a_segmentation.GetSegmentation().GetNthSegment(n).GetLabelValue() for n in range(3)]
    a_segmentation.GetSegmentation().SeparateSegmentLabelmap(a_segmentation.GetSegmentation().GetNthSegmentID(0))
    values = [a_segmentation.GetSegmentation().GetNthSegment(n).GetLabelValue() for n in range(3)]
    assert len(set(values)) < 3
    request, _ = ask(atlas_labels=a_segmentation)
    labels = read_label_map(request.atlases[0].labels)
    wanted = np.select([some_labels() == value for value in (3, 7, 12)], [1, 2, 3])
    assert np.array_equal(labels.array, wanted)
    assert [label.name for label in labels.table.values()] == ["left thing", "right thing", "bridge"]


@pytest.mark.parametrize("labels", ["a_label_map", "a_segmentation"])
def test_a_rigid_parent_moves_the_grid_and_no_voxel(
    ask: Callable[..., Any], a_scene: Any, an_atlas: Any, labels: str, request: pytest.FixtureRequest
) -> None:
    node = request.getfixturevalue(labels)
    matrix = np.eye(4)
    matrix[:3, :3] = OBLIQUE.T * 1.1
    matrix[:3, 3] = (40, -30, 20)
    parent = a_linear(a_scene, matrix)
    for moved in (an_atlas, node):
        moved.SetAndObserveTransformNodeID(parent.GetID())
    asked, notes = ask(atlas_labels=node)
    atlas, found = read_volume(asked.atlases[0].image), read_label_map(asked.atlases[0].labels)
    assert np.array_equal(atlas.array, a_scan())
    assert np.array_equal(found.array, some_labels())
    assert np.allclose(atlas.grid.matrix, FLIP @ matrix @ FLIP @ GRID.matrix, atol=1e-6)
    assert len(notes) == 1
    assert "transform" in notes[0]


@pytest.mark.parametrize("labels", ["a_label_map", "a_segmentation"])
def test_under_a_shear_a_resampled_copy_is_used_and_said(
    ask: Callable[..., Any], a_scene: Any, an_atlas: Any, labels: str, request: pytest.FixtureRequest
) -> None:
    node = request.getfixturevalue(labels)
    matrix = np.array([[1, 0.3, 0.1, 5], [0, 1.1, -0.2, -8], [0.1, 0, 0.9, 3], [0, 0, 0, 1.0]])
    parent = a_linear(a_scene, matrix)
    for moved in (an_atlas, node):
        moved.SetAndObserveTransformNodeID(parent.GetID())
    asked, notes = ask(atlas_labels=node)
    atlas, found = read_volume(asked.atlases[0].image), read_label_map(asked.atlases[0].labels)
    assert "shears" in notes[0]
    outside = float(a_scan().min())
    expected = resampled_by_simpleitk(a_scan(), matrix, atlas.grid, sitk.sitkLinear, outside)
    covered = resampled_by_simpleitk(np.ones(SHAPE, np.float32), matrix, atlas.grid, sitk.sitkLinear) > 0.999
    assert np.abs(atlas.array - expected)[covered].max() < 0.05
    wanted = resampled_by_simpleitk(some_labels(), matrix, atlas.grid, sitk.sitkNearestNeighbor)
    assert (found.array != wanted).sum() <= 3  # ties between two voxels
    volume_before = (some_labels() > 0).sum() * GRID.voxel_ml * abs(np.linalg.det(matrix[:3, :3]))
    assert (found.array > 0).sum() * atlas.grid.voxel_ml == pytest.approx(volume_before, rel=0.02)


@pytest.mark.parametrize("labels", ["a_label_map", "a_segmentation"])
def test_under_a_bending_parent_scan_and_labels_go_together(
    ask: Callable[..., Any], a_scene: Any, an_atlas: Any, labels: str, request: pytest.FixtureRequest
) -> None:
    """The oracle maps world points back with the transform node itself and samples with SimpleITK."""
    node = request.getfixturevalue(labels)
    parent = a_bending(a_scene)
    for moved in (an_atlas, node):
        moved.SetAndObserveTransformNodeID(parent.GetID())
    asked, notes = ask(atlas_labels=node)
    assert "bends" in notes[0]
    atlas, found = read_volume(asked.atlases[0].image), read_label_map(asked.atlases[0].labels)
    random = np.random.default_rng(1)
    indices = random.integers(0, atlas.grid.size, (3000, 3))
    from_world = parent.GetTransformFromParent()
    ras = (atlas.grid.to_lps(indices) * (-1, -1, 1)).tolist()
    back = np.array([from_world.TransformPoint(p) for p in ras]) * (-1, -1, 1)
    own = GRID.to_index(back)
    near = np.rint(own).astype(int)
    clear = (np.abs(own - np.rint(own)) < 0.49).all(axis=1)
    inside = ((own > 0.5) & (own < np.asarray(GRID.size) - 1.5)).all(axis=1) & clear
    assert inside.sum() > 800
    i, j, k = near[inside].T
    fi, fj, fk = indices[inside].T
    assert np.array_equal(found.array[fk, fj, fi], some_labels()[k, j, i])
    image = GRID.place(sitk.GetImageFromArray(a_scan()))
    sampled = [image.EvaluateAtPhysicalPoint(p.tolist(), sitk.sitkLinear) for p in back[inside]]
    assert np.abs(atlas.array[fk, fj, fi] - sampled).max() < 0.5


def test_no_file_tells_whose_scan_it_is(ask: Callable[..., Any], a_segmentation: Any) -> None:
    request, _ = ask(atlas_labels=a_segmentation, atlas_mask=a_segmentation)
    for file in request.target.parent.iterdir():
        data = file.read_bytes()[:5000]
        assert b"Doe" not in data
        assert b"Roe" not in data
        assert "Doe" not in file.name
    assert "Doe" not in request.to_json()


def test_masks_lie_on_their_scan_s_grid(ask: Callable[..., Any], a_segmentation: Any, a_label_map: Any) -> None:
    request, _ = ask(atlas_mask=a_segmentation, target_mask=None)
    mask = read_mask(request.atlases[0].mask)
    assert np.array_equal(mask.array, some_labels() > 0)
    assert request.target_mask is None
    assert np.array_equal(read_mask(ask(atlas_mask=a_label_map)[0].atlases[0].mask).array, some_labels() > 0)


def test_a_start_node_becomes_a_file_from_target_to_atlas(ask: Callable[..., Any], a_scene: Any) -> None:
    atlas_to_target = np.array([[0, -1, 0, 30], [1, 0, 0, -5], [0, 0, 1, 12], [0, 0, 0, 1.0]])
    request, _ = ask(start=a_linear(a_scene, atlas_to_target))
    assert np.allclose(read_affine(Path(request.start)), FLIP @ np.linalg.inv(atlas_to_target) @ FLIP)
    assert ask(start="as-placed")[0].start == "as-placed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda labels: labels * 0, Code.LABELS_EMPTY),
        (lambda labels: labels.astype(np.int16) * -1, Code.LABELS_NEGATIVE),
        (lambda labels: labels * np.float32(0.5), Code.LABELS_NOT_INTEGER),
        (lambda labels: labels.astype(np.int32) * 30000, Code.LABELS_TOO_LARGE),
    ],
)
def test_bad_labels_are_told_by_the_node_s_name(
    ask: Callable[..., Any], a_label_map: Any, tmp_path: Path, change: Callable[[Any], Any], code: Code
) -> None:
    slicer.util.updateVolumeFromArray(a_label_map, change(some_labels()))
    with pytest.raises(JobError, match="“labels of Doe”") as problem:
        ask()
    assert problem.value.code is code
    assert not (tmp_path / "inputs" / "labels_as_given.nrrd").exists()


def test_labels_beside_the_atlas_and_wrong_kinds_are_refused(
    ask: Callable[..., Any], a_scene: Any, a_label_map: Any, a_target: Any
) -> None:
    far = np.eye(4)
    far[0, 3] = 900.0
    a_label_map.SetAndObserveTransformNodeID(a_linear(a_scene, far).GetID())
    for changed, code in (
        ({}, Code.LABELS_ELSEWHERE),
        ({"atlas": None}, Code.REQUEST_INVALID),
        ({"atlas_labels": a_target}, Code.REQUEST_INVALID),
        ({"target": a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")}, Code.IMAGE_EMPTY),
        ({"target_mask": a_label_map}, Code.LABELS_ELSEWHERE),
    ):
        with pytest.raises(JobError) as problem:
            ask(**changed)
        assert problem.value.code is code


def test_a_region_of_interest_is_a_mask(ask: Callable[..., Any], a_scene: Any) -> None:
    """An oblique box under a transform, voxel by voxel."""
    region = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    centre = GRID.centre * (-1.0, -1.0, 1.0)
    region.SetCenter(centre)
    region.SetSize(20.0, 24.0, 30.0)
    turned = np.eye(4)
    turned[:3, :3] = OBLIQUE
    turned[:3, 3] = centre - OBLIQUE @ centre + (3.0, 0.0, 0.0)
    region.SetAndObserveTransformNodeID(a_linear(a_scene, turned).GetID())
    request, _ = ask(atlas_mask=region)
    mask = read_mask(request.atlases[0].mask).array
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")[::-1], axis=-1)
    ras = GRID.to_lps(indices) * (-1.0, -1.0, 1.0)
    own = (ras - turned[:3, 3]) @ turned[:3, :3] - centre
    expected = (np.abs(own) <= (10.0, 12.0, 15.0)).all(-1)
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(mask, expected)


def test_a_region_beside_the_scan_is_refused(ask: Callable[..., Any], a_scene: Any) -> None:
    region = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "far box")
    region.SetCenter(1000.0, 0.0, 0.0)
    region.SetSize(5.0, 5.0, 5.0)
    with pytest.raises(JobError, match="far box") as caught:
        ask(target_mask=region)
    assert caught.value.code is Code.MASK_ELSEWHERE


def test_a_member_of_a_library_brings_what_that_knows_of_it(ask: Callable[..., Any], tmp_path: Path) -> None:
    affine = (*np.eye(4).flatten().tolist(),)
    create(
        Plan(write_scans(tmp_path / "scans", 1), tmp_path / "library"),
        overviews=lambda folder, members, told: Overviews(
            4.0, tuple(MemberOverview(member.image, member.image_sha256, affine) for member in members)
        ),
    )
    (member,) = read_library(tmp_path / "library").atlases
    request, _ = ask(atlas=member.image, atlas_labels=member.labels)
    assert member.overview is not None
    assert request.atlases[0].overview == member.overview
