"""The executor's brain: a deterministic core that takes inputs with their times and returns effects in order. Pure."""
