"""How it is told: sections with a table each, targets beside their figures, on the terminal and as Markdown."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
_RELATIONS = {"≤": operator.le, "≥": operator.ge}


@dataclass(frozen=True)
class Target:
    """`figure` should be `≤` or `≥` `bound`; both are in `unit`."""

    what: str
    figure: float
    relation: str
    bound: float
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Never by a NaN, which is what could not be measured."""
        return bool(_RELATIONS[self.relation](self.figure, self.bound))

    @property
    def cells(self) -> list[str]:
        verdict = "not measured" if self.figure != self.figure else "kept" if self.kept else "missed"
        figure, bound = number(self.figure), f"{self.relation} {self.bound:,g}"
        return [self.what, f"{figure} {self.unit}".rstrip(), f"{bound} {self.unit}".rstrip(), verdict]


@dataclass(frozen=True)
class Section:
    """One part of the report. `told` says in a sentence or two what was done, and what the columns are."""

    title: str
    told: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    targets: Sequence[Target] = field(default=())


def number(value: float, digits: int = 3) -> str:
    """With as many digits as say something: 0.0123, 1.23, 123, 12,345; a dash for NaN."""
    if value != value:  # noqa: PLR0124 - NaN
        return "-"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def on_terminal(sections: Iterable[Section]) -> str:
    """Tables of aligned columns."""
    sections = list(sections)
    parts = [f"{each.title}\n{_wrapped(each.told)}\n\n{aligned(each.columns, each.rows)}".rstrip() for each in sections]
    if any(each.targets for each in sections):
        parts.append(f"Targets\n\n{aligned(*_summary(sections))}")
    return "\n\n".join(parts)


def as_markdown(sections: Iterable[Section], head: Sequence[str]) -> str:
    """What stands between the markers; `head` is a list of facts about the run."""
    sections = list(sections)
    facts = "\n".join(f"- {fact}" for fact in head)
    parts = [f"### {each.title}\n\n{each.told}\n\n{_piped(each.columns, each.rows)}".rstrip() for each in sections]
    return "\n\n".join([facts, f"### Targets\n\n{_piped(*_summary(sections))}", *parts])


def write_between(path: Path, markdown: str) -> None:
    """What stands outside the markers stays; raises ValueError if the file has none."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{markdown}\n{END}{after}")


def _summary(sections: Iterable[Section]) -> tuple[list[str], list[list[str]]]:
    return ["", "measured", "target", ""], [target.cells for each in sections for target in each.targets]


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, all others to the right."""
    table = [row for row in (columns, *rows) if row]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))] if table else []
    return "\n".join("  " + "  ".join(map(_justified, row, widths, range(len(row)))).rstrip() for row in table)


def _justified(cell: str, width: int, at: int) -> str:
    return cell.rjust(width) if at else cell.ljust(width)


def _piped(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not columns:
        return ""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))


def _wrapped(text: str, width: int = 110) -> str:
    lines = [""]
    for word in text.split():
        fits = len(lines[-1]) + len(word) < width
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if fits else [*lines, word]
    return "\n".join(f"  {line}" for line in lines)
