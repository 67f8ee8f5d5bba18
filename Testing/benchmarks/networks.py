"""What is measured of networks: one pass forward and one training step each, beside what arithmetic alone takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .parts import Budget, Part, key_of

SIZES = {"cpu": (80, 96, 80), "cuda": (160, 192, 160)}
NAMES = ("voxelmorph", "unet_light", "obelisk_reg", "obelisk_seg")
CLASSES = 11


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


_ROWS = tuple(
    Network(name, training, Budget(device=device)) for device in SIZES for name in NAMES for training in (False, True)
)
NETWORKS = {"networks": Part("networks", "each network forward and in training beside the arithmetic floor", 3, _ROWS)}
