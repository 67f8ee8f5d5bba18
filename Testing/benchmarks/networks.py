"""What is measured of networks: one pass forward and one training step each, beside what arithmetic alone takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .parts import Budget, Part, key_of

SIZES = {"cpu": (80, 96, 80), "cuda": (160, 192, 160)}
LARGE = (160, 192, 160)
NAMES = ("voxelmorph", "unet_light", "obelisk_reg", "obelisk_seg")
CLASSES = 11
WHOLE = ("pgcnet", "mmln", "bijros")
"""Methods whose models are no sum of the networks above."""
Seconds = tuple[float, float]
"""By the clock, and of the processor."""
METHODS = ("bijros", "deepatlas", "jrss", "mmln", "pgcnet", "synthmorph")


@dataclass(frozen=True)
class Network:
    """One network with one scan (or pair) at a time.

    Attributes:
        network: one of `NAMES`.
        training: a whole step (forward, backward, Adam), else a pass forward without gradients.
        budget: what the row may use; its device decides the size, `SIZES`.
    """

    network: str
    training: bool
    budget: Budget
    part: str = "networks"

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        return f"networks/{self.network}/{'step' if self.training else 'forward'}/{self.budget.device}"

    @property
    def size(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        return SIZES[self.budget.device]

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides budget, code and machine."""
        own = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        return {**own, "size": list(self.size), "classes": CLASSES}

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


@dataclass(frozen=True)
class WholeMethod:
    """A method's whole model, with the paper's settings, on one pair at a time.

    Attributes:
        network: the method.
        training: steps of the method's trainer, else what a run asks of the model.
        size: (D, H, W).
        repeats: how often it is timed.
        budget: what the row may use.
    """

    network: str
    training: bool
    size: tuple[int, int, int]
    repeats: int
    budget: Budget
    part: str = "networks"

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        what = "step" if self.training else "forward"
        return f"networks/{self.network}/{what}/{'x'.join(map(str, self.size))}/{self.budget.device}"

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides budget, code and machine."""
        own = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        return {**own, "size": list(self.size), "classes": CLASSES, "preset": "preset"}

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


_NETWORKS = tuple(
    Network(name, training, Budget(device=device)) for device in SIZES for name in NAMES for training in (False, True)
)
_WHOLE = tuple(
    WholeMethod(method, training, SIZES["cpu"], 2, Budget()) for method in WHOLE for training in (False, True)
)
_LARGE = tuple(WholeMethod(method, False, LARGE, 1, Budget()) for method in METHODS)
NETWORKS = {
    "networks": Part(
        "networks",
        "each network, and whole methods, forward and in training beside the arithmetic floor",
        20,
        (*_NETWORKS, *_WHOLE, *_LARGE),
    )
}
