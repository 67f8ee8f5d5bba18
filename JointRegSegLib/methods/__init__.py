"""The published systems that are trained, one room each; none knows another.

A room holds how its model is built, its objectives, its training procedure, and presets in TOML: `preset.toml` with
the paper's settings, and others of a few lines upon it. Nothing here imports PyTorch before a method is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..job import Code, JobError

if TYPE_CHECKING:
    from JointRegSegLib.networks import JointModel
    from JointRegSegLib.training.dataset import DataConfig, Dataset
    from JointRegSegLib.training.phases import Strategy
    from JointRegSegLib.training.trainer import TrainerConfig

METHODS: Mapping[str, str] = {
    "bijros": "Bi-JROS: registration leads and segmentation follows, two decoders upon one frozen encoder "
    "(Fan et al., CVPR 2024)",
    "deepatlas": "DeepAtlas: a registration and a segmentation network train in turn on each other's results "
    "(Xu & Niethammer, MICCAI 2019)",
    "jrss": "JRSS: registration and segmentation teach each other through screened pseudo-labels of a mean teacher "
    "(Shi et al., BSPC 2023)",
    "mmln": "MMLN: a pyramid of velocity fields learns from images alone; it does not segment, the atlas's labels are "
    "carried over (Zheng et al., Neurocomputing 2022)",
    "pgcnet": "PGCNet: one network registers and segments a pair from coarse to fine, each task seeing the other "
    "(Tan et al., MICCAI 2023)",
    "synthmorph": "SynthMorph: registers any contrast, as it learns from label maps and images made of them; it does "
    "not segment, the atlas's labels are carried over (Hoffmann et al., TMI 2022)",
}
"""Name -> what it is."""

WITHOUT_LABELS = frozenset({"mmln"})
"""Those that learn from images alone."""

WITHOUT_SCANS = frozenset({"synthmorph"})
"""Those that learn from label maps alone."""

REGISTERING = WITHOUT_LABELS | WITHOUT_SCANS
"""Those that do not segment."""

PRESET = "preset"
"""The preset with the paper's settings, which each method has."""


class AnySettings(Protocol):
    """A method's configuration, a frozen dataclass; `model`, `loss` and `strategy` are the method's own sections."""

    @property
    def data(self) -> DataConfig: ...

    @property
    def trainer(self) -> TrainerConfig: ...


class _Room(Protocol):
    """What the package of a method offers."""

    Settings: type[Any]

    def build(self, settings: AnySettings, classes: int) -> JointModel: ...

    def strategy(self, settings: AnySettings, model: JointModel, dataset: Dataset) -> Strategy: ...


def presets(method: str) -> dict[str, Path]:
    """The presets of a method by name; `JobError` REQUEST_INVALID for a method that does not exist."""
    return {path.stem: path for path in sorted((Path(__file__).parent / _checked(method)).glob("*.toml"))}


def read_settings(method: str, path: Path) -> AnySettings:
    """The settings in a TOML file, a preset or one upon it by path or name; `JobError` as of `config.read_config`."""
    from JointRegSegLib.training.config import read_config

    return read_config(path, _room(method).Settings, presets(method))


def build(method: str, config: AnySettings | Mapping[str, Any], classes: int) -> JointModel:
    """The untrained model, its weights drawn from PyTorch's own generator.

    Args:
        method: one of `METHODS`.
        config: settings, or the configuration in the card of a model package.
        classes: K, background included.

    Raises `JobError`: REQUEST_INVALID for a method or a configuration that is none.
    """
    room = _room(method)
    if isinstance(config, Mapping):
        from JointRegSegLib.training.config import build as settings_of

        return room.build(settings_of(room.Settings, dict(config), f"of the {method} model"), classes)
    return room.build(config, classes)


def strategy(method: str, settings: AnySettings, model: JointModel, dataset: Dataset) -> Strategy:
    """The training procedure of a model that `build` gave; `JobError` DATA_INVALID without pairs or the labels."""
    scans, labelled = len(dataset.labelled) + len(dataset.unlabelled), len(dataset.labelled)
    needs_labels = _checked(method) not in WITHOUT_LABELS
    if scans < 2 or (needs_labels and not labelled):
        raise JobError(
            Code.DATA_INVALID,
            f"{METHODS[method].partition(':')[0]} cannot train on {scans} scans of which {labelled} are labelled.",
            f"Give at least two training scans{', one of them labelled' if needs_labels else ''}.",
        )
    return _room(method).strategy(settings, model, dataset)


def _room(method: str) -> _Room:
    return cast(_Room, import_module(f"{__name__}.{_checked(method)}"))


def _checked(method: str) -> str:
    if method not in METHODS:
        raise JobError(
            Code.REQUEST_INVALID, f"There is no method {method}.", f"Choose one of {', '.join(sorted(METHODS))}."
        )
    return method
