"""Settings as command-line options: one decorator, so that every command spells them alike.

Owns the link between a command and the settings it reads. Refuses to know what a setting means: names, types and
help come from `streams.settings`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from streams.settings import Settings, SettingsError, load

PANEL = "Settings (also as STRAYFRAME_* or in strayframe.toml)"
POLICY = tuple(name for name in Settings.model_fields if name.startswith(("policy_", "warm_up_")))
"""The settings of the policy: every command that judges takes them."""
CONFIG_HELP = "Settings file to read instead of ./strayframe.toml."


def fail(message: str, code: int = 2) -> NoReturn:
    """End the command with one sentence on standard error."""
    typer.secho(f"strayframe: {message}", err=True, fg=typer.colors.RED)
    raise typer.Exit(code)


def takes_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the named settings as options, and call it with `settings=` in force.

    Logging is configured from them before the command runs. A bad setting ends the command with exit code 2.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def run(**given: Any) -> Any:
            options = {name: given.pop(name) for name in shown}
            file = given.pop("config")
            try:
                settings = load(options, file=file)
            except SettingsError as error:
                fail(str(error))
            from streams.log import configure

            configure(settings.log_level, settings.log_format)
            return command(settings=settings, **given)

        shown = (*names, "log_level", "log_format")
        signature = inspect.signature(command, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != "settings"]
        added = [_option(name) for name in shown] + [_config()]
        run.__name__, run.__doc__ = command.__name__, _unfolded(command.__doc__ or "")
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in own + added}
        run.__signature__ = inspect.Signature(own + added)  # type: ignore[attr-defined]
        return run

    return decorate


def _unfolded(text: str) -> str:
    """The docstring with each paragraph on one line, for the terminal to fold where it ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n"))


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    default = f" \\[default: {field.default}]" if isinstance(field.default, str | int | float) and field.default else ""
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=f"{field.description}{default}",
        show_default=False,
        rich_help_panel=PANEL,
        metavar="VALUE",
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _config() -> inspect.Parameter:
    option = typer.Option("--config", help=CONFIG_HELP, rich_help_panel=PANEL, metavar="FILE")
    return inspect.Parameter(
        "config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, option]
    )
