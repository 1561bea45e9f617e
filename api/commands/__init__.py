"""What each command of `strayframe` does; api/cli.py gives them their arguments."""
