"""``chatglm-slim plugins list|show|enable|disable|trust|doctor``: what can be added, and what of it is on."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chatglm_slim_llm.cli import ERROR
from chatglm_slim_llm.cli.table import one_line, table
from chatglm_slim_llm.errors import ConfigError, PluginNotFoundError
from chatglm_slim_llm.plugins import GROUPS, PluginSpec, catalogue, survey
from chatglm_slim_llm.plugins.concealing import shown
from chatglm_slim_llm.plugins.editing import set_enabled
from chatglm_slim_llm.plugins.entries import normalized
from chatglm_slim_llm.plugins.tables import file_in_use
from chatglm_slim_llm.plugins.trust import content_of, trust


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``plugins`` and its own commands to the command line."""
    parser = commands.add_parser(
        "plugins",
        help="list, show, enable, disable and try plugins",
        description="Models, retrievers, loaders, embedders, tools and commands that packages and plugins.toml add. "
        "What a package of others offers is off until you enable it.",
    )
    own = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(own)
    _add(own, "show", "show one: whose it is, what it takes from plugins.toml, why it is not on", run_show)
    enable = _add(own, "enable", "switch one on, in the plugins.toml in use or your own", run_enable)
    enable.add_argument("--package", metavar="NAME", help="this package's, where several offer the name")
    _add(own, "disable", "switch one off, in the plugins.toml in use or your own", run_disable)
    _add_trust(own)
    _add_doctor(own)


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "list the plugins there are, and whether they are on; imports none"
    parser = commands.add_parser("list", help=text, description=_sentence(text))
    parser.add_argument("group", nargs="?", metavar="GROUP", help=f"only this one: {', '.join(GROUPS)}")
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parser.set_defaults(run=run_list)


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: Any) -> Any:
    parser = commands.add_parser(name, help=text, description=_sentence(text))
    parser.add_argument("name", metavar="NAME", help="such as tools.weather, or weather where that is clear")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(run=run)
    return parser


def _add_trust(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "trust the plugins.toml of a folder, until it changes"
    parser = commands.add_parser("trust", help=text, description=_sentence(text))
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path("plugins.toml"), metavar="FILE", help="default: %(default)s, here"
    )
    parser.set_defaults(run=run_trust)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "load each plugin that is on in a process of its own, and say what is wrong"
    parser = commands.add_parser("doctor", help=text, description=_sentence(text))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(run=run_doctor)


def run_list(args: argparse.Namespace) -> int:
    """A line for each plugin; what is wrong with the files goes to stderr."""
    if args.group is not None and args.group not in GROUPS:
        raise ConfigError(f"there is no group {args.group!r}; there are {', '.join(GROUPS)}", key="group")
    (found, wrong), file = survey(args.group), str(file_in_use())
    if args.json:
        rows = [_as_json(spec) for spec in found]
        print(json.dumps({"file": file, "plugins": rows, "problems": wrong}, ensure_ascii=False, indent=2))
        return 0
    lines = [
        [one_line(spec.key), spec.state, one_line(_source(spec)), one_line(spec.reason or spec.description)]
        for spec in found
    ]
    print(table(["plugin", "state", "from", ""], lines))
    for problem in wrong:
        print(f"warning: {one_line(problem)}", file=sys.stderr)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """All that is known of one plugin without importing it."""
    spec = _find(args.name)
    if args.json:
        print(json.dumps(_as_json(spec), ensure_ascii=False, indent=2))
        return 0
    facts = {
        "plugin": spec.key,
        "state": f"{spec.state}{f': {spec.reason}' if spec.reason else ''}",
        "does": spec.description,
        "from": spec.origin,
        "target": spec.target,
        "is": GROUPS[spec.group],
        "plugins.toml": str(spec.file or ""),
        "options": json.dumps(shown(spec.options), ensure_ascii=False) if spec.options else "",
    }
    print(table(["", ""], [[name, one_line(value)] for name, value in facts.items() if value]))
    return 0


def run_enable(args: argparse.Namespace) -> int:
    """Switch a plugin on."""
    found = _all_of(args.name, args.package)
    if args.package is None and len(found) > 1 and found[0].state == "new":
        first, *others = [spec.distribution for spec in found]
        which = f"say whose, such as --package {first} (there are: {', '.join([first, *others])})"
        raise ConfigError(f"{found[0].key} is offered by several packages; {which}", key="package")
    return _switch(args, found[0], True)


def run_disable(args: argparse.Namespace) -> int:
    """Switch a plugin off."""
    return _switch(args, _find(args.name), False)


def run_trust(args: argparse.Namespace) -> int:
    """Remember that the user has looked at a file."""
    try:
        trust(args.file, content_of(args.file))
    except OSError as error:
        what = f"{args.file} cannot be trusted ({error.strerror or error}); give the path of a plugins.toml"
        raise ConfigError(what, key="file") from error
    print(f"{args.file} is trusted until it changes.")
    return 0


def run_doctor(args: argparse.Namespace) -> int:
    """Try plugins; the status is 1 if one cannot be used."""
    from chatglm_slim_llm.plugins.trying import try_plugin

    known, wrong = survey()
    chosen = [_find(name) for name in args.names] or [spec for spec in known if spec.state in ("on", "broken")]
    results: list[dict[str, object]] = []
    for spec in chosen:
        trial = try_plugin(spec) if spec.state == "on" else None
        complaint = trial.complaint if trial else f"plugin {spec.key} ({spec.origin}) is {spec.state}: {spec.reason}"
        elapsed_s, printed = (round(trial.elapsed_s, 3), trial.printed) if trial else (0.0, "")
        results.append({"plugin": spec.key, "complaint": complaint, "elapsed_s": elapsed_s, "printed": printed})
        if not args.json:
            print(
                f"{'PROBLEM' if complaint else 'ok':8}{one_line(spec.key)}  {one_line(complaint)}".rstrip(), flush=True
            )
    if args.json:
        print(json.dumps({"plugins": results, "problems": wrong}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(f"PROBLEM {one_line(problem)}" for problem in wrong), end="\n" if wrong else "")
    return ERROR if wrong or any(result["complaint"] for result in results) else 0


def _switch(args: argparse.Namespace, spec: PluginSpec, enabled: bool) -> int:
    file = set_enabled(spec, enabled)
    now = _find(f"{spec.group}.{spec.name}")
    if args.json:
        print(json.dumps({"file": str(file), **_as_json(now)}, ensure_ascii=False, indent=2))
        return 0
    reason = f": {now.reason}" if enabled and now.reason else ""
    print(one_line(f"{spec.key} ({spec.origin}) is {now.state}{reason}. Written to {file}."))
    return 0


def _find(name: str) -> PluginSpec:
    return _all_of(name)[0]


def _all_of(name: str, package: str | None = None) -> list[PluginSpec]:
    """The plugins of this name; the first is the one that is used."""
    group, dot, own = name.partition(".")
    known = [spec for spec in catalogue() if package is None or normalized(package) == spec.distribution]
    if dot and group in GROUPS:
        found = [spec for spec in known if (spec.group, spec.name) == (group, own)]
    else:
        found = [spec for spec in known if spec.name == name]
    keys = list(dict.fromkeys(spec.key for spec in found))
    if len(keys) > 1:
        raise ConfigError(f"{name} may be {' or '.join(keys)}; say which", key="name")
    if not found:
        raise _unknown(name, known)
    return found


def _unknown(name: str, known: Sequence[PluginSpec]) -> PluginNotFoundError:
    from difflib import get_close_matches

    names = tuple(dict.fromkeys(each for spec in known for each in (spec.name, spec.key)))
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else "chatglm-slim plugins list shows what there is"
    return PluginNotFoundError(f"there is no plugin {name}; {hint}", name=name, known=names)


def _source(spec: PluginSpec) -> str:
    return spec.distribution or (spec.file.name if spec.file else "")


def _as_json(spec: PluginSpec) -> dict[str, object]:
    return {
        "group": spec.group,
        "name": spec.name,
        "state": spec.state,
        "reason": spec.reason,
        "description": spec.description,
        "package": spec.distribution,
        "target": spec.target,
        "file": str(spec.file) if spec.file else None,
        "options": shown(spec.options),
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
