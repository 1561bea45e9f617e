"""The simulator: a `scenario` is played by its `cast` (`simulate`), and the `studio` draws the stills (`render`)."""
