"""`bellhop init` and `bellhop config`: write, check and document the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from gateway.errors import ConfigError
from gateway.settings_file import load
from gateway.settings_text import reference_markdown, sample_toml
from gateway.wiring import link_plans

FILE_NAME = "bellhop.toml"

config = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def init(folder: Path = typer.Argument(..., metavar="DIR", help="Folder for the file; made when it is not there.")) -> None:
    """Write DIR/bellhop.toml, every key commented, ready to run beside the SMSC simulator.

    \b
    Examples:
      bellhop init shop
      bellhop sim smsc &
      bellhop run -c shop/bellhop.toml
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Passwords will stand in it: nobody else may read it, and a file that is there is never written over.
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(sample_toml(), encoding="utf-8")
    except FileExistsError:
        raise ConfigError([f"{path if path.exists() else folder}: is there already and is left as it is"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None
    typer.echo(f"wrote {path}; next: bellhop run -c {path}")


@config.command()
def check(path: Path = typer.Option(Path(FILE_NAME), "-c", "--config", help="The file to check.")) -> None:
    """Check the file, with the environment over it; name file, line and key of every fault.

    \b
    Examples:
      bellhop config check -c shop/bellhop.toml
      BELLHOP__WEB__PORT=9090 bellhop config check -c shop/bellhop.toml
    """
    loaded = load(path, os.environ)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    settings = loaded.settings
    link_plans(settings)  # reads the files that they name
    typer.echo(f"{path}: good ({len(settings.links)} links, {len(settings.services)} services, {len(settings.short_codes)} short codes)")


@config.command()
def docs(output: Path | None = typer.Option(None, "-o", "--output", help="Write to this file instead of standard output.")) -> None:
    """Print the reference of every key, as it stands in docs/configuration.md.

    \b
    Example:
      bellhop config docs -o docs/configuration.md
    """
    text = reference_markdown()
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
