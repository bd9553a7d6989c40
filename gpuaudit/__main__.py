"""`python -m gpuaudit`."""

from gpuaudit.cli import main

main()
