"""`python -m uprung` is the command `uprung`."""

from uprung.cli.main import main

main()
