"""The empty page of a report: structure and style, no content.

Everything is inline, so that the file can be mailed or archived as it is.
Colours are CSS variables, the plots' too; the reader's setting chooses
between light and dark.
"""

import string

PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
<header>
<h1>$title</h1>
<p class="facts">$facts</p>
<p class="lede">$summary</p>
</header>
$sections
</main>
</body>
</html>
""")

STYLE = """\
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --muted: #5a636e; --rule: #d9dee4;
  --shade: #f5f7f9;
  --run-0: #c2410c; --run-1: #0f62c4; --run-2: #15803d; --run-3: #7e22ce;
  --run-4: #a16207; --run-5: #be185d; --run-6: #0e7490; --run-7: #57534e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --ink: #e4e8ec; --muted: #9aa4af; --rule: #333a42;
    --shade: #1c2126;
    --run-0: #fb923c; --run-1: #6cb0ff; --run-2: #4ade80; --run-3: #c99bff;
    --run-4: #facc15; --run-5: #f67ab8; --run-6: #4fd1e5; --run-7: #b5aea8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
    "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1100px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem;
  letter-spacing: -.012em; text-wrap: balance; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 3rem 0 .5rem;
  padding-top: .9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; }
.facts, .caption { color: var(--muted); font-size: .875rem; }
.caption { max-width: 78ch; }
.lede { max-width: 74ch; font-size: 1.05rem; margin-top: 1rem; }
.panels { display: grid; gap: 1.5rem 2rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; font-weight: 600; margin-bottom: .25rem;
  overflow-wrap: anywhere; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: inherit; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.scroll > svg { min-width: 760px; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem;
  list-style: none; margin: .75rem 0 0; padding: 0; font-size: .9rem; }
.legend li { display: flex; align-items: center; gap: .45rem; }
.legend svg { width: 30px; height: 14px; flex: none; }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
th, td { padding: .36rem .65rem; text-align: right; vertical-align: top;
  white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; }
th { font-weight: 600; }
thead th { white-space: normal; vertical-align: bottom;
  border-bottom: 1px solid var(--muted); }
small { color: var(--muted); font-weight: 400; font-size: .8em; }
thead small { display: block; }
tbody tr.block > * { border-top: 1px solid var(--rule); }
tbody tr:first-child > * { border-top: 0; }
tbody th { font-weight: 400; white-space: normal; min-width: 5rem; }
tbody th, .label { text-align: left; }
.prose td, .prose th { text-align: left; white-space: normal;
  overflow-wrap: anywhere; min-width: 9rem; }
.prose tbody tr > * { border-top: 1px solid var(--rule); }
.prose tbody th { color: var(--muted); }
details { margin: .6rem 0; }
summary { cursor: pointer; }
pre { background: var(--shade); padding: .8rem 1rem; overflow-x: auto;
  font: .8rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
ul.notes { padding-left: 1.2rem; max-width: 78ch; }
ul.notes li { margin: .35rem 0; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.4rem; }
  .lede { font-size: 1rem; }
  table { font-size: .84rem; }
  th, td { padding: .3rem .4rem; }
  tbody th { max-width: 6.5rem; }
}
@media print { main { max-width: none; padding: 0; } }
"""
