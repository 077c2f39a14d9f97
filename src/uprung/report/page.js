"use strict";
// What the page does beyond showing: tables sort, search and save as CSV; curves name their runs; contents follow.

/** The text of a cell without its second, smaller line. */
const text = cell => [...cell.childNodes].filter(node => node.nodeName !== "SMALL").map(node => node.textContent).join("").trim();
const note = cell => cell.querySelector("small")?.textContent.trim() ?? "";
/** A text with the minus of a keyboard and without thousands separators. */
const plain = words => words.replace(/−/g, "-").replace(/(\d),(?=\d{3}\b)/g, "$1");
const number = words => parseFloat(plain(words).match(/^[<>×~n= ]*([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/)?.[1] ?? "");
const NONE = "–";

/** How two rows compare by a column: as numbers where all its cells begin with one, missing ones last. */
function comparison(rows, column, sign) {
  const words = new Map(rows.map(row => [row, text(row.cells[column])]));
  const known = [...words.values()].filter(word => word !== NONE && word !== "");
  const numeric = known.every(word => !Number.isNaN(number(word)));
  const missing = row => [NONE, ""].includes(words.get(row));
  return (a, b) => missing(a) - missing(b) || sign * (numeric
    ? number(words.get(a)) - number(words.get(b))
    : words.get(a).localeCompare(words.get(b), "en", { numeric: true }));
}

/** A value of a CSV file; one that a spreadsheet would compute is marked as text. */
function quoted(words) {
  const safe = /^[=+@\t]|^-(?![\d.])/.test(words) && Number.isNaN(Number(words)) ? `'${words}` : words;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The rows in view as CSV, with a column of its own for the second lines of a column's cells. */
function csv(table) {
  const rows = [...table.tBodies[0].rows].filter(row => !row.hidden);
  const twice = [...table.tHead.rows[0].cells].map((_, k) => rows.some(row => note(row.cells[k])));
  const line = (cells, second) => cells.flatMap((cell, k) => twice[k] ? [text(cell), second(cell)] : [text(cell)]);
  const value = words => words === NONE ? "" : /^[−+]?[\d.,]+(e[−+]?\d+)?$/.test(words) ? plain(words) : words;
  const head = line([...table.tHead.rows[0].cells], cell => `${text(cell)} (second line)`);
  return [head, ...rows.map(row => line([...row.cells], note).map(value))].map(r => r.map(quoted).join(",")).join("\n") + "\n";
}

function save(name, words) {
  const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(new Blob([words], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

document.querySelectorAll("figure.table").forEach((figure, place) => {
  const table = figure.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells], tools = figure.querySelector(".tools");
  if (rows.length > 1) heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort ?? "none"];
      heads.forEach(each => each.removeAttribute("aria-sort"));
      if (next !== "none") head.setAttribute("aria-sort", next);
      body.append(...(next === "none" ? rows : rows.toSorted(comparison(rows, column, next === "ascending" ? 1 : -1))));
    });
  });
  if (rows.length > 7) {
    const field = Object.assign(document.createElement("input"), { type: "search", placeholder: "Search" });
    field.setAttribute("aria-label", "Search the rows of this table");
    const count = document.createElement("output");
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
      count.textContent = wanted ? `${rows.filter(row => !row.hidden).length} of ${rows.length} rows` : "";
    });
    tools.append(field, count);
  }
  const download = Object.assign(document.createElement("button"), { type: "button", textContent: "CSV" });
  download.setAttribute("aria-label", `Save table ${place + 1} as CSV`);
  download.addEventListener("click", () => save(`${document.body.dataset.study}-table-${place + 1}.csv`, csv(table)));
  tools.append(download);
});

for (const box of document.querySelectorAll("[data-curves]")) {
  const tip = box.querySelector("output");
  for (const input of box.querySelectorAll("input")) input.addEventListener("change", () => {
    for (const g of box.querySelectorAll("g[data-arm]"))
      if (g.dataset.arm === input.value) g.style.display = input.checked ? "" : "none";
  });
  const show = event => {
    const mark = event.target.closest("[data-run]");
    tip.textContent = mark ? mark.querySelector("title").textContent : tip.dataset.idle;
  };
  box.addEventListener("mouseover", show);
  box.addEventListener("focusin", show);
}

const contents = document.querySelector("nav"), links = new Map([...contents.querySelectorAll("a")].map(a => [a.hash.slice(1), a]));
const inView = new IntersectionObserver(entries => {
  const entry = entries.findLast(each => each.isIntersecting);
  if (!entry) return;
  const link = links.get(entry.target.id);
  for (const each of links.values()) each.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  contents.scrollTo({ left: link.offsetLeft - contents.clientWidth / 3 });
}, { rootMargin: "-20% 0px -75% 0px" });
for (const id of links.keys()) inView.observe(document.getElementById(id));
