"""The numbers that the paper prints (tables 1 to 4; spec 1.6), as data.

PSNR in dB and SSIM of each restored frame, in time order. The paper takes, for each metric by
itself, the better direction of time (its section 5.2.1; protocol `per-metric`).
"""

from __future__ import annotations

from dataclasses import dataclass

TITLES = {
    "table1": "Table 1: quantitative results on initial, middle and final frames",
    "table2": "Table 2: cross-dataset evaluation and single decoder model",
    "table3": "Table 3: ablation studies for network components and loss terms",
    "table4": "Table 4: seven frame prediction on the high speed video dataset",
}
MAIN_TABLES = ("table1", "table4")
JIN, OURS = "Jin et al. (2018)", "Ours"
WIDTH = 32
SOURCES = {"video": "GoPro high-speed video", "panorama": "SUN360 panoramas"}


@dataclass(frozen=True)
class PaperRow:
    """One row of a table. name: as printed. kind: of the blur it is tested on, "video" or
    "panorama". size: side of its square images in pixels. psnr, ssim: of each frame (ssim empty
    where the table has none). model, without: the system under the names that it has here."""

    table: str
    name: str
    kind: str
    size: int
    psnr: tuple[float, ...]
    ssim: tuple[float, ...] = ()
    model: str = "full"
    without: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return len(self.psnr)


_ALL_PSNR, _ALL_SSIM = (27.357, 31.989, 27.414), (0.794, 0.885, 0.793)

ROWS = (
    PaperRow(
        "table1", JIN, "video", 256,
        (23.713, 29.473, 23.681), (0.660, 0.846, 0.659), model="jin2018",
    ),
    PaperRow("table1", OURS, "video", 256, _ALL_PSNR, _ALL_SSIM),
    PaperRow(
        "table1", OURS, "panorama", 128, (23.693, 23.874, 24.049), (0.699, 0.704, 0.716)
    ),
    PaperRow(
        "table2", "Cross-dataset", "video", 256,
        (23.383, 30.300, 23.380), (0.649, 0.832, 0.651),
    ),
    PaperRow(
        "table2", "Lighter model", "video", 256,
        (27.120, 31.322, 27.151), (0.762, 0.863, 0.761), model="light",
    ),
    PaperRow(
        "table3", "FTN", "video", 256, (25.865, 31.202, 25.788), without=("itn", "lw")
    ),
    PaperRow("table3", "FTN + LW", "video", 256, (26.678, 32.023, 26.585), without=("itn",)),
    PaperRow("table3", "FTN + ITN", "video", 256, (26.065, 31.785, 26.058), without=("lw",)),
    PaperRow("table3", "FTN + ITN + LW", "video", 256, _ALL_PSNR),
    PaperRow("table3", "PML", "video", 256, (25.983, 30.771, 25.975), without=("pt", "tcl")),
    PaperRow("table3", "PML + TCL", "video", 256, (27.085, 31.789, 27.124), without=("pt",)),
    PaperRow("table3", "PML + TCL + PT", "video", 256, _ALL_PSNR),
    PaperRow(
        "table4", JIN, "video", 128,
        (23.084, 24.051, 25.582, 28.698, 25.028, 24.235, 23.257),
        (0.588, 0.643, 0.733, 0.820, 0.715, 0.652, 0.617),
        model="jin2018",
    ),
    PaperRow(
        "table4", OURS, "video", 128,
        (27.516, 28.991, 30.911, 32.163, 30.884, 28.936, 27.485),
        (0.767, 0.804, 0.843, 0.861, 0.842, 0.802, 0.765),
    ),
)


def rows_of(table: str) -> tuple[PaperRow, ...]:
    """The rows of "table1" ... "table4", in their order."""
    return tuple(row for row in ROWS if row.table == table)


def rows_beside(kind: str, frames: int) -> tuple[PaperRow, ...]:
    """What the main tables say of that kind of blur and number of frames."""
    return tuple(
        r for r in ROWS if r.table in MAIN_TABLES and (r.kind, r.frames) == (kind, frames)
    )


def figures(row: PaperRow, metric: str) -> tuple[float, ...]:
    """metric "psnr" or "ssim" -> the figures of the n frames and their mean; empty where the
    paper prints none."""
    frames = {"psnr": row.psnr, "ssim": row.ssim}[metric]
    return (*frames, sum(frames) / len(frames)) if frames else ()


def label(row: PaperRow) -> str:
    """`paper, Table 1: Ours`."""
    return f"paper, {TITLES[row.table].partition(':')[0]}: {row.name}"
