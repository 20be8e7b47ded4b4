"""The report's style sheet: one page for screens of 1280 px and for A4 paper, light, with the reader's own fonts."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light;
  --ink: #1d2733; --quiet: #5d6b7a; --line: #d5dbe1; --rule: #9aa6b2; --ground: #f6f8fa;
  --good: #1a6b4a; --good-ground: #e3f3ea; --bad: #b42318; --bad-ground: #fdecea;
  --doubt: #8a5a00; --doubt-ground: #fff4d6; --doubt-edge: #d99a00;
}
* { box-sizing: border-box; }
body {
  margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums lining-nums;
}
main { max-width: 1180px; margin: 0 auto; padding: 36px 40px 48px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 40px 0 12px; padding-top: 12px; border-top: 1px solid var(--line); }
p { margin: 0 0 10px; max-width: 85ch; }
small { color: var(--quiet); font-size: 0.86em; }
.lede { font-size: 16px; }
.meta { color: var(--quiet); font-size: 13.5px; }

.banner { background: var(--bad); color: #fff; padding: 20px 24px; border-radius: 6px; margin: 20px 0; }
.banner strong { display: block; font-size: 24px; line-height: 1.25; }

.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 14px; margin: 22px 0 0; }
.card {
  border: 1px solid var(--line); border-top: 4px solid var(--quiet); border-radius: 6px; padding: 14px 18px 12px;
}
.card.good { border-top-color: var(--good); }
.card.bad { border-top-color: var(--bad); }
.card.doubt { border-top-color: var(--doubt-edge); }
.card h3 { margin: 0; font-size: 13px; font-weight: 600; color: var(--quiet); }
.card .answer {
  font-size: 25px; font-weight: 700; line-height: 1.25; margin: 2px 0 6px; letter-spacing: -0.01em;
  overflow-wrap: anywhere;
}
.card p { font-size: 14px; margin: 0 0 4px; }
.stack { display: flex; flex-direction: column; gap: 14px; }
.stack .card { flex: 1 0 auto; }
.card .wide { margin: 6px 0; overflow: visible; }
.card table { width: 100%; min-width: 0; font-size: 13px; }
.card caption { font-size: 12.5px; padding: 0 0 2px; color: var(--quiet); }
.card th, .card td { padding: 3px 8px 3px 0; }
.card td.n, .card th.n { white-space: normal; }
.card td:last-child, .card th:last-child { padding-right: 0; }
.card tbody th { min-width: 0; font-weight: 400; }
.front .disclaimer { margin-top: 18px; }
.meter { height: 8px; background: #e6eaee; border-radius: 4px; overflow: hidden; margin: 4px 0 9px; }
.meter i { display: block; height: 100%; background: #0072b2; }

.notes {
  margin: 22px 0 0; padding: 12px 18px; border-radius: 6px;
  background: var(--doubt-ground); border-left: 4px solid var(--doubt-edge);
}
.notes.none { background: var(--ground); border-left-color: var(--rule); }
.notes h2 { margin: 0 0 6px; padding: 0; border: 0; font-size: 15px; }
.notes ul, .list { margin: 0 0 10px; padding-left: 20px; }
.notes li, .list li { margin: 3px 0; overflow-wrap: anywhere; }

figure { margin: 14px 0 22px; }
figure img { display: block; width: 100%; height: auto; }
figure.half img { width: auto; max-width: 100%; height: 400px; }
figcaption { color: var(--quiet); font-size: 13.5px; margin-top: 6px; max-width: 100ch; }

.wide { overflow-x: auto; margin: 0 0 20px; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.4; min-width: 50%; }
caption { text-align: left; font-weight: 600; padding: 0 0 6px; font-size: 14px; }
th, td {
  text-align: left; vertical-align: top; padding: 5px 16px 5px 0; font-weight: 400;
  border-bottom: 1px solid var(--line);
}
thead th {
  font-weight: 600; color: var(--quiet); font-size: 12.5px; vertical-align: bottom;
  border-bottom: 1.5px solid var(--rule);
}
td.n, th.n { text-align: right; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 9em; }
tbody tr.first:not(:first-child) > * { border-top: 1.5px solid var(--rule); }
tr.bad > * { background: var(--bad-ground); }
tr.doubt > td { background: var(--doubt-ground); }
.badge {
  display: inline-block; border-radius: 9px; padding: 0 8px; font-size: 12px; font-weight: 600; white-space: nowrap;
}
.badge.good { color: var(--good); background: var(--good-ground); }
.badge.bad { color: #fff; background: var(--bad); }
.badge.doubt { color: var(--doubt); background: #ffe7a8; }
.badge.plain { color: var(--quiet); background: #eef1f4; }

details { margin: 8px 0; }
summary { cursor: pointer; font-weight: 600; }
pre {
  background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: 12px 14px; margin: 8px 0 16px;
  overflow-x: auto;
  font: 12.5px/1.45 ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
.disclaimer {
  margin-top: 36px; padding: 14px 18px; border: 1.5px solid var(--ink); border-radius: 6px; font-size: 14px;
}
.disclaimer p { margin: 0; max-width: none; }

@page { size: A4; margin: 13mm 12mm 14mm; }
@media print {
  body { font-size: 9.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 17pt; }
  h2 { font-size: 12pt; margin: 14pt 0 6pt; padding-top: 6pt; break-after: avoid; }
  .front { height: 268mm; display: flex; flex-direction: column; break-after: page; }
  .front > * { flex: none; }
  .front .lede { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
  .front li span { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
  .front .lead { flex: 1 1 0; min-height: 0; display: flex; flex-direction: column; margin: 6pt 0 4pt; }
  .front .lead img { flex: 1 1 0; min-height: 0; max-height: none; width: 100%; object-fit: contain; }
  .front .disclaimer { margin: 0; padding: 4pt 8pt; }
  .front + section > h2, .front + .notes + section > h2 { margin-top: 0; border-top: 0; }
  .banner { padding: 10pt 14pt; }
  .lede { font-size: 10pt; margin-bottom: 4pt; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(52mm, 1fr)); gap: 6pt; margin-top: 6pt; }
  .stack { gap: 6pt; }
  .card { padding: 6pt 9pt; }
  .card h3 { font-size: 8pt; }
  .card .answer { font-size: 12.5pt; margin-bottom: 2pt; }
  .card .wide { margin: 3pt 0; }
  .card table { font-size: 7.4pt; }
  .card caption { font-size: 7.4pt; }
  .card th, .card td { padding: 1.2pt 4pt 1.2pt 0; }
  .card p, .meta, figcaption, .disclaimer { font-size: 8.2pt; margin-bottom: 2pt; }
  .notes { margin-top: 8pt; padding: 5pt 10pt; font-size: 8.2pt; }
  .notes h2 { font-size: 9pt; margin-bottom: 2pt; }
  .notes ul { margin-bottom: 2pt; }
  figure { margin: 6pt 0 12pt; }
  figure, .card, .notes, .banner, .disclaimer, tr { break-inside: avoid; }
  figure img { max-height: 225mm; width: auto; max-width: 100%; margin: 0 auto; }
  figure.lead img { max-height: 200mm; }
  figure.half img { height: auto; max-height: 72mm; margin: 0; }
  .wide { overflow: visible; break-inside: avoid; }
  .wide.long { break-inside: auto; }
  table { font-size: 7.6pt; }
  thead { display: table-header-group; }
  thead th { font-size: 7.2pt; }
  caption { font-size: 9pt; }
  th, td { padding: 2.5pt 7pt 2.5pt 0; }
  .badge { font-size: 7pt; padding: 0 4pt; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 7.5pt; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
