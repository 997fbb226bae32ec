"""How an exported page looks: a calm column, light or dark as the reader's system is, code in colours."""

from __future__ import annotations

from html import escape

from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

_MAX_COLOURED_CHARS = 100_000

STYLE = """
:root { --ink: #1f2328; --muted: #656d76; --paper: #ffffff; --box: #f4f6f8; --line: #d8dee4; --link: #0757b8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe3e8; --muted: #929aa5; --paper: #16191d; --box: #20252b; --line: #343b44; --link: #7cb7ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.65; overflow-wrap: anywhere;
  font-family: system-ui, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
main + main { border-top: 1px solid var(--line); }
h1 { font-size: 1.6rem; line-height: 1.3; margin: 0 0 .4rem; }
section > h2:first-child { font-size: .95rem; margin: 0 0 .5rem; }
time, .muted { color: var(--muted); font-size: .85rem; font-weight: normal; }
time { margin-inline-start: .5em; }
section { margin: 1.75rem 0; }
section.user { background: var(--box); border-radius: .6rem; padding: .9rem 1.1rem; }
section > :last-child { margin-bottom: 0; }
.plain { white-space: pre-wrap; margin: 0; }
a { color: var(--link); }
pre, code { font-family: ui-monospace, "Cascadia Code", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace; }
code { font-size: .9em; background: var(--box); border-radius: .3em; padding: .1em .3em; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem;
  overflow-x: auto; line-height: 1.45; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
blockquote { margin-inline: 0; padding-inline-start: 1em; border-inline-start: 3px solid var(--line);
  color: var(--muted); }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .35em .7em; text-align: start; }
details { margin: .35rem 0; }
details .plain { border-inline-start: 3px solid var(--line); margin: .4rem 0; padding-inline-start: 1em;
  color: var(--muted); font-size: .9rem; }
summary { cursor: pointer; color: var(--muted); font-size: .9rem; }
.sources { margin-top: 1rem; }
.sources h3 { font-size: .85rem; margin: 0; color: var(--muted); }
@media print { section { break-inside: avoid-page; } main + main { break-before: page; border: 0; } }
"""


def code_style() -> str:
    """The colours of code, for light and for dark."""
    light, dark = (HtmlFormatter(style=name).get_token_style_defs("pre") for name in ("default", "github-dark"))
    plain = [rule for rule in dark if "background" not in rule]
    return "\n".join(light) + "\n@media (prefers-color-scheme: dark) {\n" + "\n".join(plain) + "\n}"


def highlighted(code: str, language: str, _attributes: str) -> str:
    """Code as HTML, in colours where its language is known."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False) if language and len(code) <= _MAX_COLOURED_CHARS else None
    except ClassNotFound:
        lexer = None
    if lexer is None:
        return escape(code)
    formatter = HtmlFormatter(nowrap=True)
    return str(highlight(code, lexer, formatter))
