"""Writes a page of reference for each sub-command when the site is built, read from the parsers themselves."""

import argparse
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from mkdocs.structure.files import File, Files

FOLDER = "reference/cli"
SHARED = "train"  # whose groups of options those of other commands are not written out again
DEFAULT = re.compile(r"\s*\((?:default: (?P<default>.*)|(?P<required>required))\)\s*$", re.DOTALL)
WORDS = {"False": "off", "True": "on", "None": "none", "": "empty", "''": "empty"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages to the site."""
    for name, text in pages().items():
        files.append(File.generated(config, f"{FOLDER}/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """The text of each sub-command's page, by the sub-command's name."""
    parsers = {name: _parser(name, function) for name, function in sub_commands().items()}
    shared = {group.title: _rows(group) for group in parsers[SHARED]._action_groups}
    return {name: _page(name, parser, {} if name == SHARED else shared) for name, parser in parsers.items()}


def sub_commands() -> dict[str, Callable[..., Any]]:
    """The functions of which the parsers are made; with `train` and its like, those of the default recipe."""
    from keras_inception.cli import commands

    plain = {function.__name__: function for function in commands.SUB_COMMANDS}
    made = {name: make(commands.DEFAULT_RECIPE, ()) for name, make in commands.FOR_A_RECIPE.items()}
    return {**plain, **made}


def _parser(name: str, function: Callable[..., Any]) -> argparse.ArgumentParser:
    from tyro.extras import get_parser

    from keras_inception.cli.arguments import registry

    with warnings.catch_warnings():  # it goes when tyro 2 comes, which setup.cfg keeps out
        warnings.filterwarnings("ignore", "get_parser", DeprecationWarning)
        return get_parser(function, prog=f"keras-inception {name}", registry=registry())


def _page(name: str, parser: argparse.ArgumentParser, shared: dict[str | None, list[str]]) -> str:
    positional = [action for action in parser._actions if not action.option_strings]
    required = [action for action in parser._actions if action.option_strings and action.required]
    words = [action.option_strings[0] + " " + _metavar(action) for action in required]
    usage = " ".join(["keras-inception", name, *map(_metavar, positional), *words, "[OPTIONS]"])
    head, *rest = (parser.description or "").strip().split("\n\n")
    parts = [f"# {name}", _escape(head), f"```text\n{usage}\n```", *map(_escape, rest)]
    same = []
    for group in parser._action_groups:
        rows = _rows(group)
        if rows and group.title in shared and rows == shared[group.title] and group.title != "options":
            same.append(group.title or "")
        elif rows:
            title = (group.title or "options").replace("positional arguments", "arguments")
            parts += [f"## {title[0].upper()}{title[1:]}", _escape(group.description or ""), _table(rows, title)]
    if same:
        links = [f"[{title.removesuffix(' options')}]({SHARED}.md#{_anchor(title)})" for title in same]
        parts += ["## Options of the run", f"As those of `{SHARED}`: {', '.join(links)}."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(group: Any) -> list[str]:
    return [_row(action) for action in group._group_actions if action.help and "-h" not in action.option_strings]


def _table(rows: list[str], title: str) -> str:
    first = "argument" if title == "arguments" else "option"
    return "\n".join([f"| {first} | default | |", "|---|---|---|", *rows])


def _row(action: argparse.Action) -> str:
    text, default = (action.help or "").strip(), ""
    if match := DEFAULT.search(text):
        text = text[: match.start()]
        default = "required" if match["required"] else WORDS.get(match["default"], match["default"])
    names = [f'<code id="{name}">{name}</code>' for name in action.option_strings if not name.startswith("-" * 3)]
    value = _metavar(action)
    cell = ", ".join(names)
    if value and action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction):
        cell = f"{cell} `{value}`".strip()
    return f"| {_cell(cell)} | {_cell(_escape(default))} | {_cell(_escape(text))} |"


def _metavar(action: argparse.Action) -> str:
    """The word for a value; choices, which argparse puts between braces, with bars as in all other words."""
    text = str(action.metavar or action.dest.upper())
    if text.startswith("{") and text.endswith("}"):
        return "|".join(filter(None, text[1:-1].split(",")))
    return text.replace("{None}", "None")


def _cell(text: str) -> str:
    return " ".join(text.split())


def _escape(text: str) -> str:
    """Keeps what Markdown would take for marks of its own, outside of code."""
    return "".join(_outside(text))


def _outside(text: str) -> Iterator[str]:
    for place, part in enumerate(text.split("`")):
        yield f"`{part}`" if place % 2 else re.sub(r"([*_<\[|])", r"\\\1", part)


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
