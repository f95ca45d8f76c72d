"""A model that knows the answers, and small data sets whose motion is known."""

import numpy as np
import torch

from blursynth.camera import centred_camera, pixel_centres, rays
from blursynth.rotation import matrices, quat_from_euler
from blursynth.schema import SCHEMA_VERSION, Sample
from blursynth.shards import ShardName, write_shard
from blurvid import evaluate
from blurvid.evaluate import EvaluationSpec
from blurvid.index import find_mixture
from blurvid.protocols import PROTOCOLS
from blurvid.stream import read_samples

CPU = torch.device("cpu")
CAP = 100.0


class Answers:
    """A model that knows the true frames of each blur; `change` turns them into its answer."""

    def __init__(self, data, change=lambda frames: frames):
        samples = read_samples(data, range(data.sample_count))
        self.truth = {s.blur.tobytes(): s.frames for s in samples}
        self.change = change
        self.batches = []

    def restore(self, blur):
        self.batches.append(tuple(blur.shape))
        codes = (blur * 255).round().byte().permute(0, 2, 3, 1).numpy()
        frames = np.stack([self.truth[image.tobytes()] for image in codes])
        return self.change(torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 255)


def panorama_sample(number, *, xi=0.0, beta_deg=(4.0, -6.0, 5.0), size_hw=(48, 64)):
    """A turning camera in a smooth world whose colours are a function of direction."""
    camera = centred_camera(size_hw, 60.0, xi)
    turn = np.array(beta_deg) * (1 if number % 2 else -1)
    quats = [quat_from_euler(turn * t + [0, 40 * number, 0]) for t in (0.0, 0.5, 1.0)]
    directions = [rays(pixel_centres(size_hw), camera) @ m.T for m in matrices(np.array(quats))]
    waves = np.array([[5.0, 1, 0], [0, 6, 2], [3, -4, 5]])
    frames = np.stack([(np.sin(d @ waves.T) * 100 + 128).round() for d in directions])
    meta = {
        **{"schema": SCHEMA_VERSION, "kind": "panorama", "source": "p.jpg", "n": 7 + number},
        **{"times": [0.0, 0.5, 1.0], "response": "srgb", "exact_mean": True, "seed": 5},
        **{"direction": [0.0, 0.0, 0.0], "clipped": 0.0, "size_hw": list(size_hw), "xi": xi},
        **{"hfov_deg": 60.0, "focal_px": camera.focal_px, "principal_xy": camera.principal_xy},
        **{"beta_deg": list(beta_deg), "quat_wxyz": [q.tolist() for q in quats]},
        **{"quat_first_last": [quats[0].tolist(), quats[-1].tolist()], "max_step_px": 1.0},
    }
    blur = frames.mean(0).round().astype(np.uint8)
    return Sample(f"turns-{number:06d}", blur, frames.astype(np.uint8), meta)


def mixture_of(folder, *shards):
    """Shards of these samples as one data set, read with three frames."""
    for number, samples in enumerate(shards):
        name = ShardName(str(folder), "made", "test", number)
        write_shard(name, samples, fingerprint="a" * 64, image_format="png")
    return find_mixture(folder, split="test", frames=3)


def evaluated(data, change=lambda frames: frames, **options):
    """The evaluation of the only data set by the model that answers so."""
    spec = EvaluationSpec(**options)
    (only,) = evaluate.evaluate_model(Answers(data, change), data, device=CPU, spec=spec)
    return only


def psnr_of(evaluation, row, protocol):
    return PROTOCOLS[protocol](evaluation.rows[row])["psnr"]
