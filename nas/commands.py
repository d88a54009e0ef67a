"""The verbs as click commands: their options read off the dataclasses, their results told as a table or as JSON."""

import json
import logging
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table

from nas import verbs
from nas.config import Leaf, build, expand, flag, leaves, override, read_yaml
from nas.remote.staging import staged
from nas.remote.working_copy import at_hand, told, told_document
from search_spaces.errors import InputError


def nas() -> None:
    """Run the command line; exits with 2 on bad input."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(Lines("nas: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    for floor in ("latency_predictors", "nas"):
        logging.getLogger(floor).setLevel(logging.INFO)
    group = click.Group("nas", {name: _command(name, verb) for name, verb in verbs.VERBS.items()}, help=verbs.__doc__)
    try:
        group.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        raise KeyboardInterrupt from None
    except InputError as error:
        print(f"nas: {told(str(error))}", file=sys.stderr)
        sys.exit(2)


class Lines(logging.Formatter):
    """Log lines in which URLs stand for the paths of their copies."""

    def format(self, record: logging.LogRecord) -> str:
        return told(super().format(record))


def _command(name: str, verb: Callable[[Any], Mapping[str, Any]]) -> click.Command:
    options_type = typing.get_type_hints(verb)["options"]
    found = list(leaves(options_type))

    def run(config: str | None, output_format: str, **given: Any) -> None:
        document = expand(options_type, read_yaml(at_hand(config))) if config else {}
        for leaf in found:
            text = given["__".join(leaf.path)]
            if text not in (None, ()):
                override(document, leaf.path, _parse(leaf, text))
        with staged(found, document):
            result = told_document(verb(build(options_type, document)))
        _tell(result, output_format)

    parameters: list[click.Parameter] = [
        click.Option(["--config"], metavar="FILE", help="YAML file with any of these options"),
        click.Option(["output_format", "--format"], type=click.Choice(["table", "json"]), default="table"),
        *(_argument(leaf) if leaf.positional else _option(leaf) for leaf in found),
    ]
    return click.Command(name, params=parameters, callback=run, help=verb.__doc__, short_help=_first_line(verb))


def _argument(leaf: Leaf) -> click.Argument:
    return click.Argument(["__".join(leaf.path)], nargs=-1, required=leaf.required, metavar="-- VERB OPTIONS")


def _option(leaf: Leaf) -> click.Option:
    names = ["__".join(leaf.path), flag(leaf.path)]
    if leaf.shorthand:
        names.append(flag(leaf.path[:-1]))
    if leaf.flag is not None:
        names.append(flag((leaf.flag,)))
    help_text = leaf.description + (f" [default: {_shown(leaf.default)}]" if not leaf.required else " [required]")
    if leaf.type is bool:
        return click.Option([names[0], f"{names[1]}/{flag(leaf.path, 'no-')}"], default=None, help=help_text)
    metavar = "NAME=VALUE" if _is_mapping(leaf) else None
    return click.Option(names, multiple=_is_mapping(leaf), metavar=metavar, type=str, help=help_text)


def _is_mapping(leaf: Leaf) -> bool:
    return typing.get_origin(leaf.type) in (dict, Mapping)


def _shown(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _parse(leaf: Leaf, text: Any) -> Any:
    """Return what was typed as a value that validation can take."""
    if leaf.positional:
        return list(text)
    if _is_mapping(leaf):
        pairs = [pair.partition("=") for pair in text]
        for name, equals, _ in pairs:
            if not equals:
                raise InputError(f"{flag(leaf.path)} {name!r}: expected NAME=VALUE, such as width=1.2")
        is_text = typing.get_args(leaf.type)[1] in (str, Path)
        return {name: value if is_text else _yaml(leaf, value) for name, _, value in pairs}
    if typing.get_origin(leaf.type) is tuple:
        return [part.strip() for part in text.split(",")]
    return None if text == "none" else text


def _yaml(leaf: Leaf, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"{flag(leaf.path)} {text!r}: expected a number, a word or a list such as [1, 2]") from None


def _tell(result: Mapping[str, Any], output_format: str) -> None:
    if output_format == "json":
        print(json.dumps(result, indent=1, allow_nan=False))
        return
    console = Console(soft_wrap=True)
    for name, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            console.print(_rows(name, value))
        else:
            console.print(f"{name:24} {_cell(value)}", markup=False, highlight=False)


def _rows(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, overflow="fold")  # whole, as what stands there may be said again, such as a job
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(inner)}" for name, inner in value.items())
    return str(value)


def _first_line(verb: Callable[..., Any]) -> str:
    return (verb.__doc__ or "").splitlines()[0]
