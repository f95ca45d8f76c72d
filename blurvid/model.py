"""Which model: its spec, and how it is built and counted.

`full` and `light` are the paper's (`full.py`), `jin2018` and `recurrent` those that it is compared
with (section 1.7).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from blurvid.blocks import IMAGE_CHANNELS
from blurvid.full import FullModel, LightModel
from blurvid.jin2018 import JinModel
from blurvid.recurrent import RecurrentModel
from blurvid.restoration import FrameModel

MODELS: dict[str, type[FrameModel]] = {
    "full": FullModel,
    "light": LightModel,
    "jin2018": JinModel,
    "recurrent": RecurrentModel,
}
PAPERS = ("full", "light")
FRAME_COUNTS = (3, 7)
COMPONENTS = ("ftn", "itn", "lw")


@dataclass(frozen=True)
class ModelSpec:
    """What a model is made of: number of frames (3 or 7), width (32 is the published one; every
    number of channels follows it), whether the blurred image is added to each predicted one, and
    which components of the paper's models it is without (Table 3): `ftn`, the feature STNs; `lw`,
    local warping; `itn`, the image STNs."""

    name: str = "full"
    frames: int = 3
    width: int = 32
    residual: bool = True
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in MODELS:
            raise ValueError(f"expected a model among {', '.join(MODELS)}, found {self.name!r}")
        if type(self.frames) is not int or self.frames not in FRAME_COUNTS:
            raise ValueError(f"expected a model of 3 or 7 frames, found frames={self.frames!r}")
        if type(self.width) is not int or self.width < 1:
            raise ValueError(f"expected a width of at least 1, found width={self.width!r}")
        if type(self.residual) is not bool:
            raise ValueError(f"expected residual true or false, found {self.residual!r}")
        object.__setattr__(self, "without", distinct(self.without, COMPONENTS, "components"))
        if self.without and self.name not in PAPERS:
            raise ValueError(
                f"expected a model of {' or '.join(PAPERS)} to leave out {self.without[0]}, "
                f"found {self.name}, which has no such component"
            )
        if self.name == "jin2018" and not self.residual:
            raise ValueError("expected jin2018 with its residual, found residual=False")

    def has(self, component: str) -> bool:
        """Whether the model has this one of `COMPONENTS`."""
        return component not in self.without

    @property
    def stages(self) -> int:
        """How many times, one after the other, some of the weights learn: `jin2018` does so from
        the middle frame outwards, the others at once."""
        return 1 + self.frames // 2 if self.name == "jin2018" else 1

    def to_dict(self) -> dict:
        """The spec as JSON holds it; `from_dict` is the way back."""
        return {**asdict(self), "without": list(self.without)}

    @classmethod
    def from_dict(cls, stored: dict) -> ModelSpec:
        """The spec of a `to_dict`; ValueError where the keys are others than those. Where nothing
        could be left out yet, `without` may be missing."""
        if not isinstance(stored, dict):
            raise ValueError(f"expected a model spec, found {stored!r}")
        stored = {"without": [], **stored}
        expected = sorted(field.name for field in fields(cls))
        if sorted(map(str, stored)) != expected:
            found = ", ".join(sorted(map(str, stored)))
            raise ValueError(f"expected a model spec of {', '.join(expected)}, found {found}")
        return cls(**stored)

    def __str__(self) -> str:
        """In words: `full without itn, 3 frames, width 8`."""
        without = f" without {', '.join(self.without)}" if self.without else ""
        residual = "" if self.residual else ", no residual"
        return f"{self.name}{without}, {self.frames} frames, width {self.width}{residual}"


def distinct(chosen: object, known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """The chosen ones of `known`, each once, sorted; ValueError for others."""
    if not isinstance(chosen, (list, tuple)) or any(c not in known for c in chosen):
        raise ValueError(f"expected {kind} among {', '.join(known)}, found {chosen!r}")
    return tuple(sorted(set(chosen)))


def build_model(spec: ModelSpec) -> FrameModel:
    """A fresh model on the CPU; its weights are drawn from torch's generator, which the caller
    seeds."""
    return MODELS[spec.name](spec)


def count_parameters(model: nn.Module) -> int:
    """Number of weights and biases."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: FrameModel, size_hw: tuple[int, int]) -> int:
    """Multiply-adds of convolutions and linear layers in restoring one image of H x W (padding
    included, warps and activations not); nothing is computed."""
    device = next(model.parameters()).device
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        counter = FlopCounterMode(display=False)
        with counter:
            model.restore(torch.zeros(1, IMAGE_CHANNELS, *size_hw, device=device))
    return counter.get_total_flops() // 2
