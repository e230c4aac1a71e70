"""A page of charts, pictures, videos and tables in one self-contained HTML file."""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planet_jax.pictures import charts

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 1rem; font: 15px/1.5 system-ui, sans-serif;
  background: light-dark(#fff, #17181b); color: light-dark(#1c1d20, #e6e6e8); }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: .95rem; margin: .8rem 0 .2rem; font-weight: 600; overflow-wrap: anywhere; }
p { margin: .3rem 0; max-width: 75ch; } .note { opacity: .75; font-size: .87rem; }
.grid { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.grid > *, figure, .wide { min-width: 0; margin: 0; }
.chart { width: 100%; color: inherit; } .chart svg { color: inherit; max-width: 100%; }
.wide { overflow-x: auto; } img, video { max-width: 100%; height: auto; display: block; border-radius: 4px; }
.wide img { max-width: none; } figure:has(.wide img) { grid-column: 1 / -1; }
table { border-collapse: collapse; font-size: .87rem; width: 100%; }
td, th { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--soft);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; }
"""


def _data(path: Path, kind: str) -> str:
    return f'data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}'


@dataclass
class Page:
    """A page in the making: sections with parts side by side where there is room.

    Attributes:
        title: of the page.
        parts: HTML so far.
        specs: of its charts.
    """

    title: str
    parts: list[str] = field(default_factory=list)
    specs: list[dict[str, Any]] = field(default_factory=list)

    def section(self, title: str, parts: Sequence[str], note: str = '') -> None:
        """Adds a section, unless it would be empty."""
        if parts:
            told = f'<p class="note">{html.escape(note)}</p>' if note else ''
            self.parts.append(f'<section><h2>{html.escape(title)}</h2>{told}<div class="grid">{"".join(parts)}</div>'
                              f'</section>')

    def chart(self, title: str, spec: dict[str, Any], note: str = '') -> str:
        """A chart of `charts`."""
        self.specs.append(spec)
        return self.figure(title, f'<div class="chart" id="chart{len(self.specs) - 1}"></div>', note)

    def picture(self, title: str, path: Path, note: str = '') -> str:
        """A PNG, with a scroll bar if it is wider than the page."""
        described = html.escape(title, quote=True)
        return self.figure(title, f'<div class="wide"><img alt="{described}" src="{_data(path, "image/png")}"></div>',
                           note)

    def video(self, title: str, path: Path, note: str = '') -> str:
        """An MP4."""
        return self.figure(title, f'<video controls muted loop playsinline preload="metadata" '
                                  f'src="{_data(path, "video/mp4")}"></video>', note)

    def table(self, title: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
        """Rows of text."""
        def row(cells, kind):
            return '<tr>' + ''.join(f'<{kind}>{html.escape(str(cell))}</{kind}>' for cell in cells) + '</tr>'
        body = (row(head, 'th') if head else '') + ''.join(row(cells, 'td') for cells in rows)
        return self.figure(title, f'<div class="wide"><table>{body}</table></div>')

    def figure(self, title: str, inside: str, note: str = '') -> str:
        """HTML with a title above and a note below."""
        told = f'<p class="note">{html.escape(note)}</p>' if note else ''
        return f'<figure><h3>{html.escape(title)}</h3>{inside}{told}</figure>'

    def html(self) -> str:
        """The whole file."""
        specs = json.dumps(self.specs).replace('</', '<\\/')
        drawn = ('<script>' + charts.libraries().replace('</script', '<\\/script') + '</script>'
                 f'<script>{specs}.forEach((spec, n) => vegaEmbed("#chart" + n, spec, '
                 '{actions: false, renderer: "svg"}));</script>') if self.specs else ''
        return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
                f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
                f'<body><h1>{html.escape(self.title)}</h1>{"".join(self.parts)}{drawn}</body></html>')
