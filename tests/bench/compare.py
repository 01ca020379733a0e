"""Rows of the table, and how the two numbers of a row are come by: the sides take turns, A B A B, and what
counts is the median of the rounds, or their mean where each has processes of its own."""

import operator
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

Number = float
Measure = Callable[[], Number]

_SIGNS = {"<=": operator.le, ">=": operator.ge}


@dataclass
class Row:
    """`value` is what the goal is about: a ratio, a difference or ours itself."""

    name: str
    goal: str
    unit: str = ""
    ours: Number | None = None
    peer: Number | None = None
    peer_name: str = ""
    value: Number | None = None
    value_unit: str = "x"
    skipped: str = ""
    rounds: dict[str, list[Number]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        sign, number, *_ = self.goal.split()
        return bool(_SIGNS[sign](self.value, float(number)))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def take_turns(n_rounds: int, measures: dict[str, Measure]) -> dict[str, list[Number]]:
    """One of each per round, in the order given."""
    rounds: dict[str, list[Number]] = {name: [] for name in measures}
    for _ in range(n_rounds):
        for name, measure in measures.items():
            rounds[name].append(measure())
    return rounds


def row_of(
    name: str, goal: str, unit: str, rounds: dict[str, list[Number]], peer: str, kind: str = "ratio"
) -> Row:
    """Compares `ours` with the peer; the others of the rounds become notes.

    The row is the round whose value is the median: what disturbs a round disturbs both sides of it.
    """
    compared = operator.truediv if kind == "ratio" else operator.sub
    values = [(compared(a, b), a, b) for a, b in zip(rounds["ours"], rounds[peer], strict=True)]
    row = Row(name, goal, unit, peer_name=peer, rounds=rounds)
    row.value, row.ours, row.peer = sorted(values)[(len(values) - 1) // 2]
    if kind != "ratio":
        row.value_unit = unit
    _note_others(row)
    return row


def mean_row_of(name: str, goal: str, unit: str, rounds: dict[str, list[Number]], peer: str) -> Row:
    """The ratio of the means: for rounds that each have processes of their own.

    What their memory's layout does to them is drawn anew for each round, and no round is the typical one.
    """
    row = Row(name, goal, unit, peer_name=peer, rounds=rounds)
    row.ours, row.peer = statistics.fmean(rounds["ours"]), statistics.fmean(rounds[peer])
    row.value = row.ours / row.peer
    _note_others(row)
    return row


def _note_others(row: Row) -> None:
    for other, values in row.rounds.items():
        if other not in ("ours", row.peer_name):
            row.notes[other] = statistics.median(values)


def absolute(name: str, goal: str, unit: str, values: list[Number], **notes: Any) -> Row:
    """A row whose goal is a number and no ratio."""
    value = statistics.median(values)
    return Row(
        name, goal, unit, ours=value, value=value, value_unit=unit, rounds={"ours": values}, notes=notes
    )


def skipped(name: str, goal: str, why: str) -> Row:
    return Row(name, goal, skipped=why)
