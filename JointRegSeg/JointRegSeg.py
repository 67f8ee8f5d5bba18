"""The module that Slicer discovers: assembles the panel and the console's way in.

Slicer runs this file at every start, so nothing here imports more than Slicer, VTK and Qt; the rest is imported when
the module is opened or run. Everything else lives in JointRegSegLib.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if TYPE_CHECKING:
    from JointRegSegLib.panel.inputs import Inputs
    from JointRegSegLib.panel.run_session import RunSession

LIBRARY = "JointRegSegLib"


def _find_root() -> Path:
    """The folder that holds JointRegSegLib and Resources: this one when installed, its parent in the sources."""
    here = Path(__file__).absolute().parent
    for folder in (here, here.parent):
        if (folder / LIBRARY / "__init__.py").is_file():
            return folder
    raise ImportError(f"{LIBRARY} is neither in {here} nor beside it. Install the whole extension again.")


ROOT = _find_root()
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
if hasattr(slicer.modules, "JointRegSegInstance"):
    # "Reload" runs this file again; without this it would go on with the library as it was.
    for _name in [name for name in sys.modules if name.split(".")[0] == LIBRARY]:
        del sys.modules[_name]


def resourcePath(relative: str) -> str:
    """The path of a file in Resources, in the sources as well as installed."""
    return str(ROOT / "Resources" / relative)


class JointRegSeg(ScriptedLoadableModule):
    """What Slicer shows about the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Joint Registration and Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        parent.dependencies = []
        parent.contributors = ["The JointRegSeg contributors"]
        parent.helpText = _(
            "Registers a labeled scan (the atlas) to an unlabeled one (the target), and so segments the target."
            " The result is a deformation in both directions, the labels on the target with their names and colors,"
            " and measures of how far they can be trusted."
            " See <a href='https://github.com/JointRegSeg/SlicerJointRegSeg'>the project's page</a>."
        )
        parent.acknowledgementText = _("For research use. This is not a medical device.")
        parent.icon = qt.QIcon(resourcePath("Icons/JointRegSeg.png"))
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the generated pair of scans in the Sample Data module."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    SampleDataLogic.registerCustomSampleDataSource(
        category="JointRegSeg",
        sampleName="JointRegSegPhantom",
        uris=[""],
        fileNames=[""],
        nodeNames=[_("Phantom pair")],
        checksums=[None],
        thumbnailFileName=resourcePath("Icons/JointRegSegPhantom.png"),
        customDownloader=lambda source: JointRegSegLogic().loadSampleData(),
    )


class JointRegSegWidget(ScriptedLoadableModuleWidget):
    """Holds the panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.panel = None

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from JointRegSegLib.panel.widget import Panel

        root = slicer.util.loadUI(resourcePath("UI/JointRegSeg.ui"))
        self.layout.addWidget(root)
        self.panel = Panel(root, JointRegSegLogic())

    def enter(self) -> None:
        """Called each time the module is opened."""
        if self.panel is not None:
            self.panel.enter()

    def cleanup(self) -> None:
        """Called when the module is reloaded or Slicer exits."""
        if self.panel is not None:
            self.panel.close()
            self.panel = None


class JointRegSegLogic(ScriptedLoadableModuleLogic):
    """Runs the module without its panel, from the console or a script, with or without a main window.

        nodes = JointRegSegLogic().run(atlas="MRHead", atlasLabels="Segmentation", target="Patient")

    or, without waiting:

        handle = JointRegSegLogic().run(atlas=atlas, atlasLabels=labels, target=target, wait=False)
        handle.state, handle.nodes
        handle.cancel()

    docs/user-guide.md shows every call in an example.
    """

    def getParameterNode(self) -> Any:
        """The module's parameter node, with typed attributes."""
        from JointRegSegLib.panel.parameters import Parameters

        return Parameters(super().getParameterNode())

    def newRun(
        self,
        inputs: Inputs,
        onChange: Callable[[], None] | None = None,
        onEvent: Callable[[Any], None] | None = None,
        keepFiles: bool = True,
    ) -> RunSession:
        """A `RunSession` on these inputs, not started. Without `keepFiles` its result lives on in the scene alone."""
        from JointRegSegLib.panel.run_session import RunSession

        return RunSession(inputs, on_change=onChange, on_event=onEvent, keep_files=keepFiles)

    def run(
        self,
        *,
        atlas: Any = None,
        atlasLabels: Any = None,
        target: Any,
        library: Any = None,
        model: Any = "",
        refinement: str = "auto",
        quality: str = "normal",
        similarity: str = "auto",
        device: str = "auto",
        atlasMask: Any = None,
        targetMask: Any = None,
        atlasPoints: Any = None,
        targetPoints: Any = None,
        landmarkUse: str = "constrain",
        fusion: str = "auto",
        mostAtlases: int | None = None,
        start: Any = "auto",
        seed: int = 0,
        wait: bool = True,
        keepFiles: bool = False,
        onEvent: Callable[[Any], None] | None = None,
    ) -> Any:
        """Register an atlas to a target and segment the target.

        Nodes may be given as nodes, or as their names or IDs.

        :param atlas: the labeled scan, a scalar volume node; or a list of several, whose labels are fused.
        :param atlasLabels: its labels, a segmentation or a label map volume node; or as many in a list.
        :param target: the scan to segment, a scalar volume node; or a list, for a result or a `JobError` of each.
        :param library: folder or .zip of an atlas library, whose atlases are used too.
        :param model: name or file of a trained model; empty for the optimization.
        :param refinement: of a model's registration: "auto", "none", "images" or "joint".
        :param quality: "fast", "normal" or "accurate".
        :param similarity: "auto", "lncc", "mse", "mi" or "mind".
        :param device: "auto", "cpu", "cuda" or "mps".
        :param atlasMask: where the atlas may be compared, a segmentation or a label map volume node, or None.
        :param targetMask: the same for the target.
        :param atlasPoints: a markups node of points in the atlas, or None.
        :param targetPoints: the same points in the target.
        :param landmarkUse: "constrain" or "check".
        :param fusion: of several atlases: "auto", "majority", "local", "joint" or "staple".
        :param mostAtlases: register only so many atlases, those most like the target; None for all.
        :param start: "auto", "as-placed" or a linear transform node that brings the atlas to the target.
        :param seed: of everything random.
        :param wait: whether to return only when the result is in the scene.
        :param keepFiles: whether the files stay until the handle's ``close()``, as `refine` needs them.
        :param onEvent: called with every `JointRegSegLib.job.Event` of the worker.
        :return: the result's nodes, by ID (`JointRegSegLib.scene.RunNodes`); with ``wait=False`` at once a handle with
          ``state``, ``cancel()``, ``error`` and, when ``state`` is "finished", ``nodes``.
        :raises JointRegSegLib.job.JobError: what is wrong and what to do about it; with ``wait=False`` it is the
          handle's ``error`` where it comes from the worker.
        """
        from JointRegSegLib.panel import console

        targets = target if isinstance(target, list | tuple) else [target]
        runs = [
            console.inputs_of(
                target=each,
                atlas=atlas,
                atlas_labels=atlasLabels,
                atlas_mask=atlasMask,
                atlas_points=atlasPoints,
                library=library,
                target_mask=targetMask,
                target_points=targetPoints,
                landmark_use=landmarkUse,
                quality=quality,
                similarity=similarity,
                device=device,
                start=start,
                seed=seed,
                model=model,
                refinement=refinement,
                fusion=fusion,
                most_atlases=mostAtlases,
            )
            for each in targets
        ]
        if targets is target:
            return console.run_many(runs, onEvent)
        session = self.newRun(runs[0], onEvent=onEvent, keepFiles=keepFiles)
        if wait:
            return session.wait()
        session.start()
        return session

    def refine(self, handle: RunSession, wait: bool = True) -> Any:
        """Go on from a finished run after its segmentation was edited; what was edited stays and pulls the rest along.

        :param handle: of ``run(..., wait=False, keepFiles=True)``, finished.
        :param wait: as of `run`.
        :return: as of `run`.
        :raises JointRegSegLib.job.JobError: where nothing was edited, and as of `run`.
        """
        from JointRegSegLib.panel import console

        session = self.newRun(console.refinement_of(handle)[0], keepFiles=not wait)
        if wait:
            return session.wait()
        session.start()
        return session

    def carryOver(self, node: Any, nodes: Any, toAtlas: bool = False) -> Any:
        """A copy of points, a model, a volume or labels where a result takes them.

        :param node: a node of the scene, or its name or ID.
        :param nodes: what `run` returned.
        :param toAtlas: from the target to the atlas instead of from the atlas to the target.
        :return: the new node.
        """
        from JointRegSegLib.panel import console

        return console.carry(node, nodes, toAtlas)

    def dice(self, nodes: Any, reference: Any) -> dict[int, float]:
        """How well a result agrees with known labels of the target: label value to Dice, 0 to 1."""
        from JointRegSegLib.panel import console

        return console.dice_of(nodes, reference)

    def report(self, handle: RunSession) -> str:
        """A run as text for an issue or a mail, without names and paths; figures where its files were kept."""
        from JointRegSegLib.panel.report import report_of

        return report_of(handle, "")

    def models(self) -> Any:
        """The installed models (`JointRegSegLib.library.models.Installed`)."""
        from JointRegSegLib.library.models import installed_models

        return installed_models()

    def importModel(self, file: str, name: str = "") -> str:
        """Check and install a model package; returns the name that it has from now on."""
        from JointRegSegLib.panel import console

        return console.import_model(Path(file), name)

    def checkModel(self, name: str) -> str:
        """Look at the weights of a model by its name or file; returns its method, or raises what is wrong."""
        from JointRegSegLib.panel import console

        return console.check_model(name)

    def removeModel(self, name: str) -> None:
        """Delete an installed model."""
        from JointRegSegLib.library.models import remove_model

        remove_model(name)

    def train(self, *, onEvent: Callable[[Any], None] | None = None, **settings: Any) -> Any:
        """Train a method and wait.

        :param onEvent: called with every `JointRegSegLib.job.Event`.
        :param settings: method, data and output; preset, labelled, max_minutes, resume, licence, device ("auto", "cpu",
          "cuda" or "mps"), seed, table (file with names and colors of the labels) and threads: see
          `JointRegSegLib.service.training_client.TrainingRequest`.
        :return: `JointRegSegLib.service.training_client.Trained`, with the ``model``'s file and its ``scores``.
        :raises JointRegSegLib.job.JobError: why there is no model.
        """
        from JointRegSegLib.panel import console

        return console.train(console.training_of(**settings), onEvent)

    def loadSampleData(self) -> tuple[Any, Any, Any]:
        """Generate the phantom pair and load it. Nothing is downloaded.

        :return: the atlas's volume node, its label map node, and the target's volume node.
        """
        from JointRegSegLib.phantom import write_pair

        folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()) / "JointRegSegPhantom"
        files = write_pair(folder)
        atlas = slicer.util.loadVolume(str(files.atlas), {"name": _("Phantom atlas")})
        labels = slicer.util.loadLabelVolume(str(files.atlas_labels), {"name": _("Phantom atlas labels")})
        colors = slicer.util.loadColorTable(str(files.table))
        labels.CreateDefaultDisplayNodes()
        labels.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
        target = slicer.util.loadVolume(str(files.target), {"name": _("Phantom target")})
        return atlas, labels, target


class JointRegSegTest(ScriptedLoadableModuleTest):
    """The module's self test, behind "Reload and Test"."""

    def runTest(self) -> None:
        """Run everything."""
        self.setUp()
        self.test_phantom()

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def test_phantom(self) -> None:
        """A fast run on the generated pair segments the target with every structure of the atlas."""
        from JointRegSegLib.job import Code, JobError

        logic = JointRegSegLogic()
        atlas, labels, target = logic.loadSampleData()
        self.delayDisplay("Registering the phantom pair")
        try:
            nodes = logic.run(atlas=atlas, atlasLabels=labels, target=target, quality="fast", device="cpu")
        except JobError as error:
            if error.code is Code.TORCH_MISSING:
                self.skipTest(str(error))
            raise
        segmentation = slicer.mrmlScene.GetNodeByID(nodes.segmentation)
        assert segmentation.GetSegmentation().GetNumberOfSegments() == 14
        label_map = slicer.mrmlScene.GetNodeByID(nodes.labels)
        assert label_map.GetImageData().GetDimensions() == target.GetImageData().GetDimensions()
        self.delayDisplay("The phantom pair is registered and segmented")
