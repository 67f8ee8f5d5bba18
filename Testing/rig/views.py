"""Slicer's slice and 3-D views drawn off screen by its own displayable managers. No application, no Qt.

Set VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow (or vtkOSOpenGLRenderWindow) where there is no display.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from .mrml import Rig

Picture = NDArray[np.uint8]

_SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
)
_THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
)


class SliceView:
    """One slice view.

    Args:
        rig: whose scene it shows.
        name: of the view, such as "Red".
        orientation: "Axial", "Coronal" or "Sagittal".
        size: width and height in pixels.
    """

    def __init__(self, rig: Rig, name: str, orientation: str, size: tuple[int, int] = (400, 400)) -> None:
        self._size = size
        self._window, self._renderer = _window(size)
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._image = vtk.vtkActor2D()
        self._image.SetMapper(self._mapper)
        self._image.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(self._image)  # before the managers add theirs, which are drawn over it
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self._group = _managers(rig, factory, _SLICE_MANAGERS, self._renderer)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(rig.application_logic)
        rig.application_logic.GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(rig.scene)
        node = self._logic.AddSliceNode(name)
        node.SetOrientation(orientation)
        self._group.SetMRMLDisplayableNode(node)

    def show(self, background: Any, foreground: Any = None, opacity: float = 0.5) -> None:
        """Choose the volumes to draw."""
        composite = self._logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else "")
        composite.SetForegroundOpacity(opacity)

    def draw(self, centre_ras: Any = None, zoom: float = 1.0) -> Picture:
        """The view as an array (height, width, 3), fitted to the background or centred on a point in RAS mm."""
        node = self._logic.GetSliceNode()
        self._logic.ResizeSliceNode(*self._size)
        self._logic.FitSliceToBackground()
        width, height, depth = node.GetFieldOfView()
        node.SetFieldOfView(width / zoom, height / zoom, depth)
        if centre_ras is not None:
            node.JumpSliceByCentering(*centre_ras)
        connection = self._logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._image.SetVisibility(connection is not None)
        return _grab(self._window)

    def close(self, rig: Rig) -> None:
        """Take the view's nodes out of the scene, and free the window."""
        nodes = (self._logic.GetSliceNode(), self._logic.GetSliceCompositeNode())
        self._group.SetMRMLDisplayableNode(None)
        rig.application_logic.GetSliceLogics().RemoveItem(self._logic)
        self._logic.SetMRMLScene(None)
        for node in nodes:
            rig.scene.RemoveNode(node)
        self._window.Finalize()


class ThreeDView:
    """The 3-D view.

    Args:
        rig: whose scene it shows.
        size: width and height in pixels.
    """

    def __init__(self, rig: Rig, size: tuple[int, int] = (400, 400)) -> None:
        self._window, self._renderer = _window(size)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self._group = _managers(rig, factory, _THREE_D_MANAGERS, self._renderer)
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(rig.application_logic)
        rig.application_logic.GetViewLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(rig.scene)
        self._node = node = self._logic.AddViewNode("1")
        node.SetBoxVisible(False)
        node.SetUseDepthPeeling(True)
        node.SetAxisLabelsVisible(False)
        node.SetBackgroundColor(0.93, 0.94, 0.97)
        node.SetBackgroundColor2(0.70, 0.74, 0.85)
        self._group.SetMRMLDisplayableNode(node)

    def draw(self, azimuth: float = 25.0, elevation: float = 20.0, zoom: float = 1.2) -> Picture:
        """The view as an array (height, width, 3), from in front of the patient, turned by angles in degrees."""
        self._window.Render()  # lets the managers add what they show, so that the camera can be fitted to it
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint(0.0, 0.0, 0.0)
        camera.SetPosition(0.0, 500.0, 0.0)
        camera.SetViewUp(0.0, 0.0, 1.0)
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        self._renderer.ResetCamera()
        camera.Zoom(zoom)
        self._renderer.ResetCameraClippingRange()
        return _grab(self._window)

    def close(self, rig: Rig) -> None:
        """Take the view's node out of the scene, and free the window."""
        self._group.SetMRMLDisplayableNode(None)
        rig.application_logic.GetViewLogics().RemoveItem(self._logic)
        self._logic.SetMRMLScene(None)
        rig.scene.RemoveNode(self._node)
        self._window.Finalize()


def _window(size: tuple[int, int]) -> tuple[Any, Any]:
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(*size)
    window.SetMultiSamples(4)
    renderer = vtk.vtkRenderer()
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    interactor.Initialize()
    return window, renderer


def _managers(rig: Rig, factory: Any, names: tuple[str, ...], renderer: Any) -> Any:
    factory.SetMRMLApplicationLogic(rig.application_logic)
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.Initialize(factory, renderer)
    return group


def _grab(window: Any) -> Picture:
    window.Render()
    capture = vtk.vtkWindowToImageFilter()
    capture.SetInput(window)
    capture.ReadFrontBufferOff()
    capture.Update()
    image = capture.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
    return np.array(pixels[::-1, :, :3])
