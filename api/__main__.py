"""`python -m api`: the command `strayframe`, where the console script is not on the path."""

from api.cli import main

main()
