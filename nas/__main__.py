"""`python -m nas` is the command line."""

from nas.cli import main

main()
