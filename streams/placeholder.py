"""Placeholders that a person gives as files: from a path to what the store and the engine keep.

Owns reading such a file. Refuses to decide whether a picture is a placeholder: the person who gives it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from detector.placeholder import look_of
from models.errors import StrayframeError
from models.placeholder import Placeholder, Shelf, State, placeholder_id
from streams.decode import Decoder


class NotAPlaceholder(StrayframeError):
    """The file cannot be a placeholder: it cannot be read, or it is no picture that can be decoded whole."""


def from_file(path: Path, decoder: Decoder) -> Placeholder:
    """The confirmed placeholder that a file shows, labelled with its name. Raises NotAPlaceholder."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotAPlaceholder(f"{path}: {error.strerror}") from None
    picture = decoder(data)
    if picture.grey is None or not picture.complete:
        raise NotAPlaceholder(f"{path}: {picture.fault or 'the picture ends early'}")
    still = decoder.still(data)
    if still.fingerprint is None and still.noisy:
        raise NotAPlaceholder(f"{path}: too dark to tell apart, and with a sensor's noise: it may be anybody's night")
    look = look_of(still)
    return Placeholder(placeholder_id(look), State.CONFIRMED, look.to_bytes(), label=path.name)


def shelf_of(paths: Iterable[Path], decoder: Decoder) -> Shelf:
    """The shelf that holds these files as confirmed placeholders. Raises NotAPlaceholder."""
    return Shelf(1, tuple({p.id: p for p in (from_file(path, decoder) for path in paths)}.values()))
