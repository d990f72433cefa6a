"""How results are shown: tables on terminals of any width and in notebooks, and progress that moves in its place.

rich's own progress needs ipywidgets in a notebook, and warns at every step without; here one output is replaced by the
next, which every notebook can. rich is imported by those who have a table or a bar of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

_LINE = "border-bottom:1px solid rgba(128,128,128,0.35)"  # seen on white and on black alike
_CELL = "padding:0.2em 0.8em;white-space:pre-wrap;background:none"
_WIDTH = 100


def html_table(
    rows: Sequence[Sequence[Any]],
    heading: Sequence[str] = (),
    *,
    title: str = "",
    left: Sequence[int] = (0,),
    bold: Sequence[int] = (),
    notes: Sequence[str] = (),
) -> str:
    """A table in HTML, in the colours of the page around it; whatever a cell holds is shown as text.

    Args:
        rows: Cells, row by row.
        heading: The columns' names; none for labels and values.
        title: What stands above.
        left: Columns whose cells begin at the left; the others, numbers mostly, end at the right.
        bold: Rows that stand out, such as sums.
        notes: Lines below.

    Returns:
        The HTML of one element.
    """

    def row_of(cells: Sequence[Any], tag: str, weight: str = "") -> str:
        written = []
        for place, cell in enumerate(cells):
            side = "left" if place in left else "right"
            written.append(f'<{tag} style="{_CELL};text-align:{side}{weight}">{escape(str(cell))}</{tag}>')
        return f'<tr style="{_LINE};background:none">{"".join(written)}</tr>'

    head = f"<thead>{row_of(heading, 'th')}</thead>" if heading else ""
    body = "".join(
        row_of(cells, "td", ";font-weight:bold" if place in bold else "") for place, cells in enumerate(rows)
    )
    return "".join(
        [
            '<div style="overflow-x:auto;font-variant-numeric:tabular-nums">',
            f"<strong>{escape(title)}</strong>" if title else "",
            f'<table style="border-collapse:collapse;color:inherit">{head}<tbody>{body}</tbody></table>',
            *(f"<div>{escape(note)}</div>" for note in notes),
            "</div>",
        ]
    )


def html_of(table: Table, notes: Sequence[str] = ()) -> str:
    """A table for terminals in HTML, with all that a terminal would have no room for."""
    from rich.text import Text

    def plain(cell: Any) -> str:
        return Text.from_markup(cell).plain if isinstance(cell, str) else str(cell)

    columns = [list(map(plain, column.cells)) for column in table.columns]
    return html_table(
        list(zip(*columns, strict=True)),
        [plain(column.header) for column in table.columns],
        title=plain(table.title or ""),
        left=[place for place, column in enumerate(table.columns) if column.justify == "left"],
        notes=notes,
    )


def print_table(console: Console, table: Table) -> None:
    """Prints a table, or where the terminal is too narrow for it, one line a cell under the name of its row."""
    from rich.text import Text

    def text(cell: Any) -> Text:
        return Text.from_markup(cell) if isinstance(cell, str) else cell

    columns = [list(map(text, column.cells)) for column in table.columns]
    heads = [text(column.header) for column in table.columns]
    drawn = "\n".join("".join(piece.text for piece in line) for line in console.render_lines(table))
    whole: list[str] = []
    for column, head, cells in zip(table.columns, heads, columns, strict=True):
        whole += [cell.plain for cell in [head, *cells]] if column.no_wrap else head.plain.split()
    if all(words in drawn for words in whole) or len(columns) < 2:
        console.print(table)
        return
    if table.title:
        console.print(table.title, style="bold")
    label = max(head.cell_len for head in heads[1:])
    for first, *rest in zip(*columns, strict=True):
        if first.plain.strip():
            console.print(Text.assemble(first, style="bold"), soft_wrap=True)
        for head, cell in zip(heads[1:], rest, strict=True):
            if cell.plain.strip():
                console.print(Text.assemble("  ", (f"{head.plain:<{label}}  ", "dim"), cell), soft_wrap=True)


def can_move(console: Console) -> bool:
    """Whether progress can be shown in one place: on a terminal, and in a notebook."""
    return console.is_terminal or console.is_jupyter


def in_place(progress: Progress) -> Progress:
    """Makes progress move in a notebook without ipywidgets; elsewhere it is left as it is."""
    live, console = progress.live, progress.console
    if not console.is_jupyter or progress.disable:
        return progress
    from IPython.display import display
    from rich.console import Console

    shown: list[Any] = []

    def refresh() -> None:
        if live.is_started or not shown:
            text = _as_text(Console, live.get_renderable())
        else:  # it has ended
            text = "" if live.transient else _as_text(Console, live.get_renderable())
        data = {"text/plain": text}
        if shown:
            shown[0].update(data, raw=True)
        else:
            shown.append(display(data, raw=True, display_id=True))

    stop = live.stop

    def stop_and_show() -> None:
        begun, console.quiet = live.is_started, True  # rich would leave an empty output
        stop()
        console.quiet = False
        if begun:
            refresh()

    live.refresh = refresh  # type: ignore[method-assign]
    live.stop = stop_and_show  # type: ignore[method-assign]
    return progress


def tracked(items: Sequence[Any], what: str) -> Iterator[Any]:
    """Goes through items with a bar on standard error, which leaves nothing behind."""
    from rich.console import Console
    from rich.progress import Progress

    with in_place(Progress(console=Console(stderr=True), transient=True)) as progress:
        yield from progress.track(items, description=what)


def _as_text(kind: type[Console], renderable: Any) -> str:
    from io import StringIO

    page = kind(file=StringIO(), width=_WIDTH, force_jupyter=False, force_terminal=False, color_system=None)
    page.print(renderable)
    return page.file.getvalue().rstrip("\n")  # type: ignore[attr-defined]
