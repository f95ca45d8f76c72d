"""The pictures of a validation: the blur, and beside it the predictions above the truth."""

import numpy as np
import pytest

from blurvid.restore import STRIP_GAP
from blurvid.run_folder import RunFolder, comparison, stacked


def test_what_a_kill_left_half_written_is_no_run_and_is_removed(tmp_path):
    (tmp_path / ".options.json.0123.partial").write_text("{")
    folder = RunFolder(tmp_path)
    folder.check(resume=False)
    with folder.held():
        assert not list(tmp_path.iterdir())
        with pytest.raises(ValueError, match="another training at work in it"), folder.held():
            pass
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        RunFolder(tmp_path).check(resume=False)


def test_the_predicted_frames_stand_above_the_true_ones():
    blur = np.full((4, 6, 3), 10, np.uint8)
    predicted = np.stack([np.full((4, 6, 3), 20 + i, np.uint8) for i in range(3)])
    truth = predicted + 100
    picture = comparison(blur, predicted, truth)
    assert picture.shape == (2 * 4 + STRIP_GAP, 4 * 6 + 3 * STRIP_GAP, 3)
    columns = [i * (6 + STRIP_GAP) for i in range(4)]
    assert picture[0, columns, 0].tolist() == [10, 20, 21, 22]
    assert picture[-1, columns, 0].tolist() == [255, 120, 121, 122]


def test_narrow_pictures_are_padded_with_white():
    narrow, wide = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 5, 3), np.uint8)
    picture = stacked([narrow, wide])
    assert picture.shape == (4 + STRIP_GAP, 5, 3)
    assert (picture[:2, 3:] == 255).all() and not picture[-2:].any()
