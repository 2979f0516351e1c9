"""Figures, and how they are compared: ours beside the peer's, measured in the same run, as a ratio."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """`peer` and `ratio` (ours / peer) are None where nobody does the same thing. `target` is what the ratio, or ours, should reach."""

    ours: float
    peer: float | None
    ratio: float | None
    unit: str
    target: str = ""
    note: str = ""


def beside(ours: float, peer: float, unit: str, target: str = "", note: str = "") -> Figure:
    return Figure(round(ours, 4), round(peer, 4), round(ours / peer, 3), unit, target, note)


def alone(ours: float, unit: str, target: str = "", note: str = "") -> Figure:
    return Figure(round(ours, 4), None, None, unit, target, note)


def quantile(samples: Sequence[float], part: float) -> float:
    """The sample below which `part` of them lie; no interpolation, so it is one that was seen."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def write(path: Path, figures: dict[str, Figure]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: asdict(figure) for name, figure in figures.items()}, indent=2) + "\n")


def table(figures: dict[str, Figure]) -> str:
    """For a person: one line each."""
    lines = [f"{'measure':<38} {'ours':>12} {'peer':>12} {'ratio':>8}  unit, target"]
    for name, f in figures.items():
        peer = "" if f.peer is None else f"{f.peer:,.2f}"
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        lines.append(f"{name:<38} {f.ours:>12,.2f} {peer:>12} {ratio:>8}  {f.unit}{', ' + f.target if f.target else ''}")
        if f.note:
            lines.append(f"{'':<38}   {f.note}")
    return "\n".join(lines)
