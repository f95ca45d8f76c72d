"""Cameras that turn in a smooth world, and models that answer as they are told."""

import numpy as np
import torch

from blursynth import motion as true_motion
from blursynth.camera import centred_camera, pixel_centres, rays
from blursynth.rotation import matrices, quat_from_euler
from blursynth.schema import SCHEMA_VERSION, Sample
from blursynth.shards import ShardName, write_shard
from blurvid import motion
from blurvid.index import find_mixture
from blurvid.restoration import Restoration
from blurvid.motion_study import study_motion

CPU = torch.device("cpu")
STILL = np.array([[1.0, 0, 0], [0, 1, 0]])
PATH = (12.0, -9.0, 7.0)
ROLL = (0.0, 0.0, 14.0)
SIZE_HW = (45, 70)  # padded to 64 x 96


def panorama_sample(number=0, *, beta_deg=PATH, frames=3, size_hw=SIZE_HW, xi=0.0, shift_xy=(0, 0)):
    """A camera that turns by beta in a smooth world whose colours are a function of direction."""
    camera = centred_camera(size_hw, 60.0, xi)
    principal = [c + s for c, s in zip(camera.principal_xy, shift_xy, strict=True)]
    times = np.linspace(0, 1, frames)
    quats = [quat_from_euler(np.array(beta_deg) * (t - 0.5) + [0, 40 * number, 0]) for t in times]
    meta = {
        **{"schema": SCHEMA_VERSION, "kind": "panorama", "source": "p.jpg", "n": frames},
        **{"times": times.tolist(), "response": "identity", "exact_mean": True, "seed": 5},
        **{"direction": [0.0, 0.0, 0.0], "clipped": 0.0, "size_hw": list(size_hw), "xi": xi},
        **{"hfov_deg": 60.0, "focal_px": camera.focal_px, "principal_xy": principal},
        **{"beta_deg": list(beta_deg), "quat_wxyz": [q.tolist() for q in quats]},
        **{"quat_first_last": [quats[0].tolist(), quats[-1].tolist()], "max_step_px": 1.0},
    }
    seen_by = true_motion.camera_of(meta)
    views = [rays(pixel_centres(size_hw), seen_by) @ m.T for m in matrices(np.array(quats))]
    waves = np.array([[5.0, 1, 0], [0, 6, 2], [3, -4, 5]])
    images = np.stack([(np.sin(v @ waves.T) * 100 + 128).round().astype(np.uint8) for v in views])
    return Sample(f"turns-{number:06d}", images.mean(0).round().astype(np.uint8), images, meta)


def thetas_of(meta):
    """The thetas of a motion that is affine: the truth."""
    return motion.normalised_thetas(
        motion.true_transforms(meta), motion.padded_hw(meta["size_hw"])
    )


def still(frames=3):
    return np.tile(STILL, (frames - 1, 1, 1))


def db(estimate, truth, seen):
    """PSNR in dB on the seen pixels alone."""
    squares = (estimate.astype(float) - truth)[seen] ** 2
    return 10 * np.log10(255**2 / squares.mean())


class Answers:
    """A model that knows its samples' blurs, and of each the thetas of FTN and ITN that it answers;
    None: the network is not there."""

    def __init__(self, samples, thetas_of_sample):
        self.known = [(s.blur, thetas_of_sample(s)) for s in samples]

    def __call__(self, blur):
        return Restoration((), *(torch.stack(t) for t in zip(*map(self._answer, blur))))

    def _answer(self, blur):
        image = (blur * 255).round().byte().permute(1, 2, 0).numpy()
        for known, answer in self.known:
            height, width = known.shape[:2]
            if np.array_equal(image[:height, :width], known):
                return [_chain(thetas) for thetas in answer]
        raise AssertionError("a blur that is none of the samples'")


def _chain(thetas):
    """(n - 1, 2, 3) -> (n - 1, 2, 2, 3): a coarse scale of zeros, and the finest one."""
    if thetas is None:
        return torch.zeros(2, 0, 2, 3)
    finest = torch.from_numpy(np.ascontiguousarray(thetas)).float()
    return torch.stack((torch.zeros_like(finest), finest), 1)


def studied(folder, samples, thetas_of_sample, frames=3, **options):
    shard = ShardName(str(folder), "turns", "test", 0)
    write_shard(shard, samples, fingerprint="a" * 64, image_format="png")
    data = find_mixture(folder, split="test", frames=frames)
    (study,) = study_motion(Answers(samples, thetas_of_sample), data, device=CPU, **options)
    return study


def rolls(count, **named):
    return [panorama_sample(k, beta_deg=ROLL, **named) for k in range(count)]


def true_for_ftn_and_still_for_itn(sample):
    """Every second sample is answered backwards."""
    backward = int(sample.key[-1]) % 2
    return thetas_of(sample.meta)[:: -1 if backward else 1], still(len(sample.frames))
