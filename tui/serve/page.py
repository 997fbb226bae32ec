"""The page and its few own files; the terminal in it is textual-serve's."""

from __future__ import annotations

from html import escape

from tui.language import tr

SCRIPT = """
const url = new URL(window.location.href);
if (url.searchParams.has("token")) {
  url.searchParams.delete("token");
  window.history.replaceState(null, "", url);
}
document.addEventListener("DOMContentLoaded", () => {
  const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
  document.querySelector(".textual-terminal").dataset.sessionWebsocketUrl = `${scheme}//${window.location.host}/ws`;
  document.querySelector("button").addEventListener("click", () => window.location.reload());
});
"""

STYLE = """
@font-face {
  font-family: "Roboto Mono";
  src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf");
  font-weight: 100 700;
}
@font-face {
  font-family: "Roboto Mono";
  font-style: italic;
  src: url("/static/fonts/RobotoMono-Italic-VariableFont_wght.ttf");
  font-weight: 100 700;
}
html, body { margin: 0; height: 100%; background: #11151b; color: #dde4ee; overflow: hidden; }
body { font: 16px "Roboto Mono", "Noto Sans Mono CJK SC", monospace; }
.textual-terminal { width: 100vw; height: 100vh; }
.ended { display: none; position: absolute; inset: 0; align-items: center; justify-content: center; gap: 24px; }
.ended { background: #11151bd9; z-index: 10; }
body.-closed .ended { display: flex; }
button { font: inherit; padding: 8px 24px; border: 0; border-radius: 4px; background: #79b8ff; color: #11151b; }
button:hover, button:focus { background: #a5cfff; cursor: pointer; }
"""


def page() -> str:
    """The only page."""
    return f"""<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <title>ChatGLM-6B-Slim</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/static/css/xterm.css">
    <link rel="stylesheet" href="/page.css">
    <script src="/page.js"></script>
    <script src="/static/js/textual.js"></script>
  </head>
  <body>
    <div class="textual-terminal" data-font-size="16"></div>
    <div class="ended"><div>{escape(tr("The session has ended."))}</div>
      <button type="button">{escape(tr("Start again"))}</button></div>
  </body>
</html>
"""
