"""What each command of `strayframe` does; api/cli gives them their arguments."""
