/** Colours of light and dark pages. Those of series keep apart for colour-blind readers. */
export const palette = `
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2127; --soft: #57606a; --grid: #d8dee4; --panel: #f6f8fa;
  --dense: #57606a; --series-0: #0b6bcb; --series-1: #c2410c; --series-2: #0f7b4f; --series-3: #9333a8;
  --series-4: #a16207; --series-5: #be185d; --series-6: #0e7490; --series-7: #4d4fc9;
  --good: #0f7b4f; --warn: #9a6700; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e6e9ed; --soft: #9aa4af; --grid: #343c46;
  --panel: #1c2229; --dense: #aab3bd; --series-0: #6bb1ff; --series-1: #ff9a62; --series-2: #4fd19b; --series-3: #d69aea;
  --series-4: #e5c04b; --series-5: #ff8fbf; --series-6: #5fd0e6; --series-7: #a8aaff;
  --good: #4fd19b; --warn: #e5c04b; --bad: #ff8a80; } }
`;

/** The report's style sheet: no network. */
export const styleSheet = `${palette}* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .4rem; padding-top: 1.2rem; border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 1.8rem 0 .1rem; }
p { margin: .4rem 0; max-width: 48rem; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
code { font: .88em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
figure { margin: 1.2rem 0 2rem; }
figcaption strong { display: block; color: var(--ink); font-size: 1rem; }
.axis { color: var(--soft); font-size: .82rem; }
.axis.x { padding-left: 58px; }
.chart { overflow-x: auto; }
.chart svg { display: block; max-width: none; font-family: inherit; font-size: 12px; color: var(--soft); }
.chart svg text { fill: var(--soft); white-space: pre; }
.chart svg [aria-label="y-grid"] { stroke: var(--grid); stroke-opacity: .8; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: .5rem 0; font-size: .88rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.legend svg { width: 30px; height: 14px; flex: none; }
.table { overflow-x: auto; border: 1px solid var(--grid); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { padding: .38rem .65rem; text-align: left; white-space: nowrap; vertical-align: top; }
th { background: var(--panel); font-weight: 600; }
tr + tr td { border-top: 1px solid var(--grid); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td small { color: var(--soft); font-size: .85em; }
td.wide { white-space: normal; min-width: 16rem; }
tr.dense td { background: var(--panel); font-weight: 600; }
.status-ok { color: var(--good); } .status-warn { color: var(--warn); } .status-bad { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; font-size: .9rem; margin: .8rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
details { margin: 1rem 0; } summary { cursor: pointer; font-weight: 600; }
.notice { border-left: .3rem solid var(--warn); background: var(--panel); padding: .6rem .9rem; margin: 1rem 0; font-weight: 600; }
.headline { font-size: 1.05rem; }
.headline li { margin: .25rem 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .4rem; } }
@media print { body { max-width: none; padding: 0; } .table, .chart { overflow: visible; } }
`;
