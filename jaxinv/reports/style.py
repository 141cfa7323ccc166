"""The style sheet of the report."""

from __future__ import annotations

_STYLE = """
:root { color-scheme: light dark; --bg: #f6f6f4; --card: #fff; --ink: #1d1f21; --soft: #666b70;
  --edge: #dcdcd8; --ok: #1e7a46; --warn: #9a6200; --bad: #b3261e; --c0: #2f6fb4; --c1: #c65f1b;
  --c2: #2b8a57; --c3: #8a4fb0; --c4: #b0405f; --c5: #6b7280 }
@media (prefers-color-scheme: dark) { :root { --bg: #15171a; --card: #1e2125; --ink: #e6e6e3;
  --soft: #9aa0a6; --edge: #34383d; --ok: #6fcf97; --warn: #f0b95a; --bad: #ff8a80; --c0: #7ab3ef;
  --c1: #f2a065; --c2: #75cf9f; --c3: #c79ae6; --c4: #ee8fa9; --c5: #a5abb3 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem; background: var(--bg); color:
  var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif }
h1 { margin: 0; font-size: 1.5rem } h2 { margin: 0 0 .4rem; font-size: 1.05rem; overflow-wrap:
  anywhere }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: .15em }
code { font: .92em ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap:
  anywhere }
.count { margin: .1rem 0 1rem; color: var(--soft) }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr))
  }
.tile, .card { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem }
.tile { padding: .7rem .9rem; display: flex; flex-direction: column }
.tile b { font-size: 1.35rem; font-weight: 600; line-height: 1.35 } .tile span, .tile small {
  color: var(--soft) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1.1rem 0 }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.card { margin: 0 0 1rem; padding: 1rem; scroll-margin-top: 1rem }
.card:target { outline: 2px solid var(--c0) }
table { border-collapse: collapse; table-layout: fixed; width: 100% }
th:nth-child(2) { width: 7rem } th { color: var(--soft); font-weight: 500 }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-top: 1px
  solid var(--edge); overflow-wrap: anywhere }
tr:first-child th { border-top: 0; padding-top: 0 }
.badge { font-size: .8rem; font-weight: 500; padding: .05rem .5rem; border-radius: 1rem; border:
  1px solid; white-space: nowrap }
.badge.ok { color: var(--ok) } .badge.warn, .note { color: var(--warn) } .badge.bad { color:
  var(--bad) }
.note { margin: 0 0 .4rem; overflow-wrap: anywhere }
.scores { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: 0 0 .7rem; padding: 0;
  list-style: none; color: var(--soft) }
.scores b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums }
.row { display: grid; gap: .75rem; grid-template-columns: repeat(4, 1fr) }
figure { margin: 0 } img, svg { display: block; width: 100%; height: auto; border-radius: .3rem }
.detail { margin-top: .7rem } .detail img { width: auto; max-width: 100% } .detail figcaption {
  text-align: left } summary { cursor: pointer; color: var(--soft) }
figcaption { color: var(--soft); font-size: .85rem; text-align: center; padding-top: .2rem }
svg text { fill: var(--soft); font-size: 13px } svg .grid { stroke: var(--edge) }
svg .axis { stroke: var(--soft); fill: none }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.c0 { stroke: var(--c0) } .c1 { stroke: var(--c1) } .c2 { stroke: var(--c2) } .c3 { stroke:
  var(--c3) }
.c4 { stroke: var(--c4) } .c5 { stroke: var(--c5) }
@media (max-width: 44rem) { body { padding: .8rem } .row { grid-template-columns: repeat(6, 1fr) }
  .row figure { grid-column: span 3 } .row figure:nth-child(3) { grid-column: span 2 } .row
  figure:nth-child(4) { grid-column: span 4 } dl { grid-template-columns: 1fr; gap: 0 } dd {
  margin-bottom: .4rem } }
"""
