"""A page as it is printed where there is no terminal."""

from rich.console import Console


def printed(parts, width=160):
    """Return the lines of a page, without spaces at their ends."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part, markup=False)
    return [line.rstrip() for line in captured.get().splitlines()]
