"""A run, described completely: what the four doors (panel, console, shell, batch) hand to the worker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .errors import Code, JobError
from .fusion import Fusion
from .overview import Overview

START_AUTO = "auto"
START_AS_PLACED = "as-placed"
OPTIMISATION = "optimisation"
LARGEST_SEED = 2**63 - 1
_PATHS = ("target", "output", "target_mask", "model", "landmarks", "corrections", "continue_from")


class Quality(str, Enum):
    """How much time a run may take."""

    FAST = "fast"
    NORMAL = "normal"
    ACCURATE = "accurate"


class Similarity(str, Enum):
    """What the registration calls alike."""

    AUTO = "auto"
    LNCC = "lncc"
    MSE = "mse"
    MI = "mi"
    MIND = "mind"


class Refinement(str, Enum):
    """What improves the field of a trained method: nothing, the images, or images and the method's segmentation."""

    AUTO = "auto"
    NONE = "none"
    IMAGES = "images"
    JOINT = "joint"


class LandmarkUse(str, Enum):
    """What landmarks are for: the field has to join them, or only its distance from joining them is reported."""

    CONSTRAIN = "constrain"
    CHECK = "check"


class Device(str, Enum):
    """Where the registration computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


@dataclass(frozen=True)
class Atlas:
    """A labelled scan.

    Attributes:
        image: file, or folder of one DICOM series.
        labels: label map or .seg.nrrd in the same space as the image.
        table: names and colours of the labels (.csv or .ctbl), or None.
        mask: voxels that may be compared (non-zero), or None for all.
        landmarks: markups file (.mrk.json, .fcsv) of points that are in the request's `landmarks` too, or None.
        name: what results call it; "atlas 1" where empty, because file names may hold a patient's name.
        overview: what a library knows of it beforehand, or None.
    """

    image: Path
    labels: Path
    table: Path | None = None
    mask: Path | None = None
    landmarks: Path | None = None
    name: str = ""
    overview: Overview | None = None


@dataclass(frozen=True)
class Request:
    """One target to register and segment.

    Attributes:
        atlases: the labelled scans; where there are several, each is registered and their labels are fused.
        target: the unlabelled scan: file, or folder of one DICOM series.
        output: the folder that will hold the result; it appears whole or not at all.
        target_mask: voxels of the target that may be compared (non-zero), or None for all.
        quality: how much time the run may take.
        similarity: what counts as alike; AUTO decides from the images and says so.
        start: "auto", "as-placed", or the path of a transform file (target to atlas, LPS mm).
        device: where to compute; AUTO takes a working GPU, else the CPU.
        seed: of everything random; 0 to `LARGEST_SEED`.
        threads: CPU threads, or None for the library's default.
        memory_gb: the most memory to plan for, or None for what is free.
        overwrite: replace an existing output folder.
        method: "optimisation", which needs no training, or the trained method that proposes the field.
        model: the model package of a trained method.
        refinement: what the optimisation does with that method's field; AUTO is JOINT where its validation Dice of
            segmentation is at least the optimisation's, else IMAGES.
        model_votes: whether a trained method's segmentation, where validation found that to gain, is fused with the
            carried labels.
        fusion: how the labels of several atlases are made one label map.
        most_atlases: register only so many, those most like the target after their affine; all where None.
        landmarks: markups file of points in the target that the atlases' landmarks belong to, or None. Points go
            together by label, or by order where labels differ.
        landmark_use: whether the landmarks pull, or are only measured.
        corrections: label map in the target's space as a user left it after correcting a result, or None.
        corrected: the values of the structures that the user corrected there: these stay as they are, and pull.
        continue_from: folder of an earlier result of the same atlas and target, whose field the run begins with.
    """

    atlases: tuple[Atlas, ...]
    target: Path
    output: Path
    target_mask: Path | None = None
    quality: Quality = Quality.NORMAL
    similarity: Similarity = Similarity.AUTO
    start: str = START_AUTO
    device: Device = Device.AUTO
    seed: int = 0
    threads: int | None = None
    memory_gb: float | None = None
    overwrite: bool = False
    method: str = OPTIMISATION
    model: Path | None = None
    refinement: Refinement = Refinement.AUTO
    model_votes: bool = True
    fusion: Fusion = Fusion.AUTO
    most_atlases: int | None = None
    landmarks: Path | None = None
    landmark_use: LandmarkUse = LandmarkUse.CONSTRAIN
    corrections: Path | None = None
    corrected: tuple[int, ...] = ()
    continue_from: Path | None = None

    def __post_init__(self) -> None:
        self._require_atlases()
        if not 0 <= self.seed <= LARGEST_SEED:
            raise JobError(Code.REQUEST_INVALID, f"seed is {self.seed}.", "Give a number from 0 to 2**63 - 1.")
        if self.threads is not None and self.threads < 1:
            raise JobError(Code.REQUEST_INVALID, f"threads is {self.threads}.", "Give a number of 1 or more.")
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise JobError(Code.REQUEST_INVALID, f"memory_gb is {self.memory_gb}.", "Give a number above 0.")
        if self.method == OPTIMISATION and self.model is not None:
            raise JobError(
                Code.REQUEST_INVALID,
                f"The request names the model {self.model}, which the method {self.method} does not use.",
                "Name the model's method too, or leave the model out.",
            )
        if self.method != OPTIMISATION and self.model is None:
            raise JobError(
                Code.MODEL_MISSING,
                f"The method {self.method} needs a trained model, and the request names none.",
                "Name a model package, or take the method optimisation.",
            )
        self._require_whole_landmarks()
        if self.continue_from is not None and self.method != OPTIMISATION:
            raise JobError(
                Code.REQUEST_INVALID,
                f"The request goes on from {self.continue_from} and asks the method {self.method} for a field too.",
                "Go on with the method optimisation.",
            )
        if (self.corrections is None) != (not self.corrected):
            raise JobError(
                Code.REQUEST_INVALID,
                f"The request names the corrections {self.corrections} and the corrected labels {self.corrected}.",
                "Name both, or neither.",
            )
        if self.corrections is not None and self.continue_from is None:
            raise JobError(
                Code.REQUEST_INVALID,
                f"The request names the corrections {self.corrections}, and not the result that they correct.",
                "Name the folder of that result too.",
            )

    def _require_whole_landmarks(self) -> None:
        """`JobError` REQUEST_INVALID where landmarks lack a side, or a field that they could pull at."""
        lacking = [number for number, atlas in enumerate(self.atlases, 1) if atlas.landmarks is None]
        if self.landmarks is not None and 0 < len(lacking) < len(self.atlases):
            raise JobError(
                Code.REQUEST_INVALID,
                f"The request names landmarks, but none of atlas {', '.join(map(str, lacking))}.",
                "Name the same points in every atlas, or leave those atlases out.",
            )
        if (self.landmarks is None) != (len(lacking) == len(self.atlases)):
            raise JobError(
                Code.REQUEST_INVALID,
                "The request names landmarks of the target alone, or of the atlas alone.",
                "Name the same points in both.",
            )
        pull = self.landmarks is not None and self.landmark_use is LandmarkUse.CONSTRAIN
        if pull and self.method != OPTIMISATION and self.refinement is Refinement.NONE:
            raise JobError(
                Code.REQUEST_INVALID,
                f"The request leaves the field of the method {self.method} as it is, and names landmarks that pull.",
                "Let the images refine the field, or use the landmarks to check it.",
            )

    def _require_atlases(self) -> None:
        """`JobError` REQUEST_INVALID where there is no atlas, or something that only one atlas can have."""
        if not self.atlases:
            raise JobError(Code.REQUEST_INVALID, "The request names no atlas.", "Name at least one.")
        if self.most_atlases is not None and self.most_atlases < 1:
            raise JobError(Code.REQUEST_INVALID, f"most_atlases is {self.most_atlases}.", "Give a number of 1 or more.")
        if len(self.atlases) == 1:
            return
        of_one = {
            "start transform": None if self.start in (START_AUTO, START_AS_PLACED) else self.start,
            "corrections": self.corrections,
            "result to go on from": self.continue_from,
        }
        for what, given in of_one.items():
            if given is not None:
                raise JobError(
                    Code.REQUEST_INVALID,
                    f"The request names {len(self.atlases)} atlases and the {what} {given}, which belongs to one.",
                    "Name one atlas, or leave it out.",
                )

    def to_json(self) -> str:
        """The request as a JSON text; paths are written absolute."""
        return json.dumps(_plain(asdict(self)), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Request:
        """The request in a JSON text; a `JobError` where a key or a value is not understood."""
        try:
            fields = json.loads(text)
            atlases = tuple(_atlas(atlas) for atlas in fields["atlases"])
            enums = {
                "quality": Quality(fields.get("quality", Quality.NORMAL)),
                "similarity": Similarity(fields.get("similarity", Similarity.AUTO)),
                "device": Device(fields.get("device", Device.AUTO)),
                "refinement": Refinement(fields.get("refinement", Refinement.AUTO)),
                "fusion": Fusion(fields.get("fusion", Fusion.AUTO)),
                "landmark_use": LandmarkUse(fields.get("landmark_use", LandmarkUse.CONSTRAIN)),
                "corrected": tuple(int(value) for value in fields.get("corrected", ())),
            }
            request = _with_paths(cls, {**fields, **enums, "atlases": atlases}, _PATHS)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise JobError(
                Code.REQUEST_INVALID, f"The request cannot be read: {problem}.", "Check its keys and values."
            ) from problem
        return request


def _atlas(fields: dict[str, Any]) -> Atlas:
    known = fields.get("overview")
    if known is not None:
        known = _with_paths(Overview, {**known, "affine": tuple(known["affine"])}, ("image",))
    return _with_paths(Atlas, {**fields, "overview": known}, ("image", "labels", "table", "mask", "landmarks"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value.absolute()) if isinstance(value, Path) else value


def _with_paths(cls: Any, fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    return cls(**{**fields, **{name: Path(fields[name]) for name in names if fields.get(name) is not None}})
