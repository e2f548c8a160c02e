"""Examples below a command's help, each on a line of its own."""


def examples(*lines: str) -> str:
    """Return an epilog that keeps its lines (the backspace tells so)."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
