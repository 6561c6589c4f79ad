"""`make reference`: docs/reference.md, from the files of conf/ and the docstrings of analysis/statistics.

A key's comment is what follows its value, the deeper lines under it, and the lines right above it; the lines that a
file begins with are about the whole file. Hydra's own keys are left out.
"""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from analysis.ranges import described
from analysis.settings import PROJECT, ExportSettings, Settings
from bench.groups import groups
from bench.schema import SCHEMAS, leaves

CONF, PAGE = PROJECT / "conf", PROJECT / "docs" / "reference.md"
COMMANDS = ("config", "report", "pretrain", "convert", "cam", "export", "publish", "sync", "architectures", "results")
GROUPS = {
    "arch": "config",
    "data": "config",
    "protocol": "config",
    "trainer": "config",
    "source": "pretrain",
    "published": "convert",
}
OPENING = """# Reference

Written by `make reference` from `conf/` and the docstrings of `analysis/statistics/`; not by hand. A key is typed as
`key=value` behind the command; `null` is none. *ours* and *recipe* are explained in `conf/protocol/paper.yaml`.
"""

Row = tuple[str, str, str]


def rows(path: Path, prefix: str = "") -> list[Row]:
    """(dotted key, default as written, comment) of the keys of a YAML file; `key.*` is a comment on all below it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = _walk(yaml.compose("\n".join(lines)), lines, prefix)
    return [row for row in found if row[0] != f"{prefix}name" or not prefix or row[1] == "???"]


def _walk(mapping: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Row]:
    for key, value in mapping.value:
        if key.value in ("defaults", "hydra"):
            continue
        name, start, end = prefix + key.value, value.start_mark, value.end_mark
        if not isinstance(value, yaml.MappingNode):
            written = re.sub(r"^\$\{oc\.env:\w+,(.*)\}$", r"\1", lines[start.line][start.column : end.column])
            yield name, written, _comment(lines, key.start_mark, end)
            continue
        if said := _comment(lines[: key.end_mark.line + 1], key.start_mark, key.end_mark):
            yield f"{name}.*", "", said
        yield from _walk(value, lines, f"{name}.")


def _comment(lines: list[str], key: yaml.Mark, end: yaml.Mark) -> str:
    above, below = key.line, end.line + 1
    while above and re.match(rf" {{{key.column}}}#", lines[above - 1]):
        above -= 1
    while below < len(lines) and re.match(rf" {{{key.column + 1},}}#", lines[below]):
        below += 1
    beside = [lines[end.line][end.column :].partition("#")[2], *lines[end.line + 1 : below]]
    said = [beside, lines[above : key.line] if above else []]
    return ". ".join(filter(None, (" ".join(text.strip(" #") for text in part) for part in said)))


def header(path: Path) -> str:
    """The comment that a file begins with."""
    first = itertools.takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    return _escaped(" ".join(line.strip("# ") for line in first if "@" not in line))


def valid(command: str) -> dict[str, str]:
    """What each key of a command may be, in words; empty where any text will do."""
    schema = {"report": Settings, "results": ExportSettings}.get(command) or SCHEMAS[command]
    return {key: described(item) for key, item in leaves(schema)}


def table(found: list[Row], allowed: dict[str, str]) -> list[str]:
    """A Markdown table of keys."""
    cells = [(f"`{key}`", f"`{value}`" if value else "", allowed.get(key, ""), said) for key, value, said in found]
    lines = ["| " + " | ".join([*row[:2], *map(_escaped, row[2:])]) + " |" for row in cells]
    return ["| key | default | valid | |", "|---|---|---|---|", *lines, ""] if lines else []


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def functions(path: Path) -> list[str]:
    """The public functions and tuples of a module: signature and docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = [f"### analysis.statistics.{path.stem}", "", ast.get_docstring(tree) or "", ""]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            taken = f"({ast.unparse(node.args)})" if isinstance(node, ast.FunctionDef) else ""
            lines += ["```text", f"{node.name}{taken}", "", ast.get_docstring(node) or "", "```", ""]
    return lines


def reference() -> str:
    """The whole page."""
    files = {group: sorted((CONF / group).glob("*.yaml")) for group in GROUPS}
    grouped = {row[0] for group in GROUPS for path in files[group] for row in rows(path, f"{group}.")}
    lines = [OPENING, "## Keys of the commands", ""]
    for command in COMMANDS:
        path, allowed = CONF / f"{command}.yaml", valid(command)
        found = rows(path)
        there = grouped | {row[0] for row in found} | {f"{group}.name" for group in GROUPS} | {"data.uncertain"}
        found += [(key, "", "not set in conf/") for key in allowed if key not in there]
        lines += [f"### conf/{path.name}", "", header(path), "", *table(found, allowed)]
    for group, command in GROUPS.items():
        names = ", ".join(f"`{name}`" for name in groups(command)[group])
        lines += [f"### {group}=", "", f"One of {names}.", ""]
        for path in files[group]:
            if found := rows(path, f"{group}."):
                lines += [f"conf/{group}/{path.name}: {header(path)}", "", *table(found, valid(command))]
    sweeps = [f"- `{path.stem}`: {header(path)}" for path in sorted((PROJECT / "sweeps").glob("[!_]*.yaml"))]
    lines += ["### +sweeps=", "", *sweeps, "", "## Statistics on arrays", ""]
    lines += ["Used step by step in [statistics.md](statistics.md).", ""]
    for path in sorted((PROJECT / "analysis" / "statistics").glob("[!_]*.py")):
        lines += functions(path)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
