"""How a report looks: light and dark, on a telephone and on a wide screen."""

STYLE = """
:root {
  --paper: #fdfdfc; --card: #fff; --ink: #1c1e21; --faint: #5d636b;
  --line: #dfe1e4; --link: #0b5cad; --warn: #fff3d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --card: #1d2024; --ink: #e6e7e9; --faint: #a0a6ae;
    --line: #363b41; --link: #7db7f2; --warn: #463a14;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 88rem; padding: 0 clamp(1rem, 3vw, 3rem) 3rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  overflow-wrap: anywhere;
}
h1 { font-size: clamp(1.5rem, 4vw, 2.25rem); line-height: 1.2; margin: 2rem 0 .5rem; }
h2 {
  font-size: 1.35rem; margin: 3rem 0 1rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--line);
}
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p { max-width: 52rem; margin: 0 0 .75rem; }
header p, footer, figcaption, small, summary { color: var(--faint); }
code { font: .875em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
dl {
  display: grid; gap: .75rem; margin: 1.5rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr));
}
dl div, .box, figure, details {
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
}
dl div { padding: .6rem .75rem; }
dt { color: var(--faint); font-size: .875rem; }
dd { margin: 0; font-size: clamp(1rem, .75rem + 1vw, 1.25rem); }
dd { font-variant-numeric: tabular-nums; }
small { display: block; font-size: .8125rem; font-weight: 400; }
.box { overflow-x: auto; margin: 0 0 1rem; width: fit-content; max-width: 100%; }
.warning { background: var(--warn); padding: .75rem 1rem; border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td {
  padding: .4rem .75rem; text-align: left; vertical-align: top;
  overflow-wrap: break-word;
}
td { min-width: 7rem; }
td.number { min-width: 0; white-space: nowrap; }
td:last-child:not(.number) { min-width: 15rem; }
thead th { color: var(--faint); font-size: .8125rem; vertical-align: bottom; }
tbody th { font-weight: 500; white-space: nowrap; }
@media (min-width: 40rem) {
  tbody th { position: sticky; left: 0; background: var(--card); }
}
th small { min-width: 9rem; }
tbody tr { border-top: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.pictures, .columns { column-gap: 1rem; }
.several { columns: 2 30rem; }
.columns { columns: 24rem; }
figure { margin: 0 0 1rem; overflow: hidden; break-inside: avoid; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { padding: .5rem 1rem; font-size: .875rem; }
.columns .box { width: auto; break-inside: avoid; }
details { margin: 0 0 .75rem; padding: .75rem 1rem; }
details .box { border: 0; margin: .5rem 0 0; }
summary { cursor: pointer; }
footer { margin-top: 3rem; font-size: .875rem; }
"""
