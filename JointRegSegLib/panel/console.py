"""What the console's calls do: names become nodes, and what the panel does by clicks is done by calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..job import Code, Device, Event, JobError, LandmarkUse, Quality, Refinement, Similarity
from ..job.fusion import Fusion
from ..library.models import Installed, find_model
from ..library.opening import open_library
from ..scene import AtlasSource, Changes, RunNodes, carry_over, find_changes, reference_dice
from ..service.model_tools import check_in_child, install_in_child
from ..service.training_client import Trained, TrainingRequest, start_training
from ..training.card import load_card
from .inputs import START_WORDS, Inputs, find_choice, find_node
from .run_session import RunSession
from .setup_section import chosen_python


def inputs_of(
    *,
    target: Any,
    atlas: Any = None,
    atlas_labels: Any = None,
    atlas_mask: Any = None,
    atlas_points: Any = None,
    library: Any = None,
    target_mask: Any = None,
    target_points: Any = None,
    landmark_use: str = "constrain",
    quality: str = "normal",
    similarity: str = "auto",
    device: str = "auto",
    start: Any = "auto",
    seed: int = 0,
    model: Any = "",
    refinement: str = "auto",
    fusion: str = "auto",
    most_atlases: int | None = None,
) -> Inputs:
    """The inputs of a run; what each is, is said at `JointRegSegLogic.run`.

    Raises:
        JobError: REQUEST_INVALID for a name that means nothing, and what opening a library or a model raises.
    """
    return Inputs(
        atlases=(*_of_nodes(atlas, atlas_labels, atlas_mask, atlas_points), *_of_library(library)),
        target=find_node(target, "target"),
        target_mask=find_node(target_mask, "targetMask"),
        target_points=find_node(target_points, "targetPoints"),
        landmark_use=find_choice(LandmarkUse, landmark_use, "landmarkUse"),
        quality=find_choice(Quality, quality, "quality"),
        similarity=find_choice(Similarity, similarity, "similarity"),
        device=find_choice(Device, device, "device"),
        start=start if start in START_WORDS else find_node(start, "start"),
        seed=seed,
        model=_model(model),
        refinement=find_choice(Refinement, refinement, "refinement"),
        fusion=find_choice(Fusion, fusion, "fusion"),
        most_atlases=most_atlases,
    )


def run_many(runs: Sequence[Inputs], on_event: Callable[[Event], None] | None = None) -> list[RunNodes | JobError]:
    """Run targets one after the other; one that fails gives its error in place of its nodes."""
    found: list[RunNodes | JobError] = []
    for inputs in runs:
        try:
            found.append(RunSession(inputs, on_event=on_event, keep_files=False).wait())
        except JobError as error:
            found.append(error)
    return found


def refinement_of(session: RunSession) -> tuple[Inputs, Changes]:
    """The inputs of a run that goes on from a finished one, and what the user corrected in its segmentation.

    Raises:
        JobError: REQUEST_INVALID where the run has no files any more or nothing was corrected; as of `find_changes`.
    """
    if session.result is None:
        raise JobError(
            Code.REQUEST_INVALID,
            _("The run has no files to go on from."),
            _("Run with keepFiles=True, and refine then."),
        )
    changes = find_changes(slicer.mrmlScene, session.nodes, session.result)
    if not changes.values:
        raise JobError(
            Code.REQUEST_INVALID,
            _("No structure was changed since the run."),
            _("Edit the result's segmentation first."),
        )
    return session.inputs.refined(changes, session.result.folder), changes


def carry(node: Any, nodes: RunNodes, to_atlas: bool) -> Any:
    """A copy of a node where a result takes it."""
    transform = slicer.mrmlScene.GetNodeByID(nodes.target_to_atlas if to_atlas else nodes.atlas_to_target)
    return carry_over(slicer.mrmlScene, find_node(node, "node"), transform)


def dice_of(nodes: RunNodes, reference: Any) -> dict[int, float]:
    """Dice of each found structure with known labels of the target, by label value."""
    return reference_dice(slicer.mrmlScene, nodes, find_node(reference, "reference"))


def import_model(file: Path, name: str) -> str:
    """Check and install a package; the name that it has from now on."""
    return install_in_child(file, name, chosen_python())


def check_model(name: str) -> str:
    """The method of a model, by its name or file, whose weights are what they were."""
    return check_in_child(find_model(Path(name)), chosen_python())


def training_of(*, data: Any, output: Any, device: str = "auto", table: Any = None, **more: Any) -> TrainingRequest:
    """What to train; what each setting is, is said at `JointRegSegLogic.train`.

    Raises:
        JobError: REQUEST_INVALID for a device that does not exist.
    """
    return TrainingRequest(
        data=Path(data),
        output=Path(output),
        device=find_choice(Device, device, "device"),
        table=None if table is None else Path(table),
        **more,
    )


def train(request: TrainingRequest, on_event: Callable[[Event], None] | None = None) -> Trained:
    """Train and wait; `JobError` says why there is no model."""
    return start_training(request, chosen_python()).join(on_event)


def _of_nodes(images: Any, labels: Any, masks: Any, points: Any) -> tuple[AtlasSource, ...]:
    if images is None:
        return ()
    several = [each if isinstance(each, list | tuple) else [each] for each in (images, labels, masks, points)]
    count = len(several[0])
    several = [each if each != [None] else [None] * count for each in several]
    if any(len(each) != count for each in several):
        raise JobError(
            Code.REQUEST_INVALID,
            _("atlas names {count} scans, and atlasLabels, atlasMask or atlasPoints another number.").format(
                count=count
            ),
            _("Give as many of each, in the same order."),
        )
    names = ("atlas", "atlasLabels", "atlasMask", "atlasPoints")
    return tuple(
        AtlasSource(*(find_node(part, name) for part, name in zip(parts, names, strict=True)))
        for parts in zip(*several, strict=True)
    )


def _of_library(library: Any) -> tuple[AtlasSource, ...]:
    if library is None:
        return ()
    return tuple(
        AtlasSource(atlas.image, atlas.labels, table=atlas.table, name=atlas.name)
        for atlas in open_library(Path(library)).atlases
    )


def _model(given: Any) -> Installed | None:
    if not given:
        return None
    path = find_model(Path(given))
    return Installed(path.stem, path, load_card(path))
