"""Measuring detection: a `corpus` becomes `labelled` replays with `damage`, is judged (`evaluate`) and scored."""
