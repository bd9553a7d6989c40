"""Which systems of the stack are there, and in what state: from raw facts about what was seen to rows of the report."""

from gpuaudit.stack.rows import stack_part

__all__ = ["stack_part"]
