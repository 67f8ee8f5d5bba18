"""What is measured of methods that are trained: each row a training on few labels, then every test subject."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from .parts import Part, key_of


@dataclass(frozen=True)
class StudyBudget:
    """What one row may use.

    Attributes:
        train_minutes: of training, by the clock.
        threads, device: of training and evaluation.
        refined: test subjects, the first by id, for which refinement and the optimisation are measured too.
    """

    train_minutes: float = 15.0
    threads: int = 2
    device: str = "cpu"
    refined: int = 18


@dataclass(frozen=True)
class Study:
    """One training and its evaluation.

    Attributes:
        part: the part it belongs to.
        dataset: folder below the data folder; by id, the first `train` subjects train, the next `test` are tested, the
            others validate.
        method, preset: what is trained.
        labelled: training subjects that keep their labels; the first of them is the atlas of the evaluation.
        ablation: a preset whose own lines are laid upon `preset`, or empty.
        merged: give the label maps the preset's structures first: an evaluation compares label by label.
        seen: the tested subjects train too, without labels.
        normalised: scans train behind an affine onto the first one.
        voxel: mm of the isotropic voxels that scans are brought to before anything else; their own where 0.
        scored: labels that the data set does not score become background.
        spacing: of the training grid in mm along each axis; the preset's where 0.
        quality: of what refines.
        budget: what the row may use.
    """

    part: str
    dataset: str
    train: int
    test: int
    method: str
    preset: str
    labelled: int
    ablation: str = ""
    merged: bool = False
    seen: bool = False
    normalised: bool = False
    voxel: float = 0.0
    scored: bool = False
    spacing: float = 0.0
    quality: str = "normal"
    budget: StudyBudget = StudyBudget()

    @property
    def joint(self) -> bool:
        """Whether both networks learn of each other; the others are what joint training is compared with."""
        return not self.preset.endswith("_mono")

    @property
    def label(self) -> str:
        """Preset and ablation, for tables."""
        return f"{self.preset}+{self.ablation}" if self.ablation else self.preset

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        return f"{self.part}/{self.method}/{self.label}/{self.labelled}"

    @property
    def beside(self) -> str:
        """The name of the row that it is compared with: an ablation with the whole method, that with `mono`."""
        return replace(self, **({"ablation": ""} if self.ablation else {"preset": f"{self.preset}_mono"})).name

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides budget, code and machine.

        What came later is left out where it is as it always was: lines that were measured before stay valid.
        """
        later = {"seen": False, "normalised": False, "voxel": 0.0, "scored": False, "spacing": 0.0, "quality": "normal"}
        own = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        return {k: v for k, v in own.items() if k not in later or v != later[k]}

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


_ABLATIONS = (
    ("jrss", 5, ("screening", "loss_uncertainty", "noise_dropout", "noise_warp")),
    ("deepatlas", 1, ("semi",)),
    ("pgcnet", 5, ("joint", "couple", "pos_embed")),
    ("bijros", 1, ("frozen_encoder", "acc", "gradient_response")),
    ("mmln", 5, ("branch_2d", "core", "coupling")),
)
_LABELS = {"deepatlas": (1, 3, 5), "jrss": (1, 3, 5), "pgcnet": (1, 5), "bijros": (1, 5), "mmln": (1, 5)}


def _few_shot() -> tuple[Study, ...]:
    def row(method: str, preset: str, labelled: int, ablation: str = "") -> Study:
        return Study("few-shot", "hippocampus", 80, 18, method, preset, labelled, ablation)

    presets = ("small_mono", "small")
    rows = [row(method, preset, n) for method, numbers in _LABELS.items() for n in numbers for preset in presets]
    return (*rows, *(row(method, "small", n, ablation) for method, n, names in _ABLATIONS for ablation in names))


def _brain() -> tuple[Study, ...]:
    def row(method: str, labelled: int) -> Study:
        budget = StudyBudget(refined=8)
        return Study(
            BRAIN,
            "oasis",
            5,
            8,
            method,
            "small",
            labelled,
            seen=True,
            normalised=True,
            voxel=2.0,
            scored=True,
            spacing=4.0,
            budget=budget,
        )

    return tuple(row(method, n) for method in _LABELS for n in ((5,) if method in ("deepatlas", "jrss") else (1, 5)))


def _lpba40() -> tuple[Study, ...]:
    budget = StudyBudget(train_minutes=600.0, device="cuda", refined=10)
    return (Study("lpba40", "lpba40", 18, 10, "jrss", "lpba40", 5, merged=True, budget=budget),)


BRAIN = "brain-methods"
_ABOUT = "hippocampus: every method on few labels beside the same networks trained alone, and ablations"
_BRAIN = "brains at 4 mm on a CPU, not converged: every method alone and refined beside the optimisation alone"
STUDIES = {
    "few-shot": Part("few-shot", _ABOUT, 720, _few_shot()),
    BRAIN: Part(BRAIN, _BRAIN, 240, _brain()),
    "lpba40": Part("lpba40", "the protocol of JRSS on LPBA40; needs a CUDA device", 660, _lpba40()),
}
