// What makes the report's page answer: sorting, filters, tooltips, enlarged figures. Without it everything can be read.
"use strict";

const NUMBER = /^[<>]?\s*[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?(?![\w.])/i;
const FEW_ROWS = 8; // up to so many a table needs no filter
const NEAR = 14; // px within which a point of a figure is meant
const element = (name, properties = {}) => Object.assign(document.createElement(name), properties);
const plain = (text) => text.trim().replaceAll("\u2212", "-");

// A cell's value: a number (that of "< 0.001" lies just below it), a text, or null where there is nothing.
function value(cell) {
  const text = plain(cell.textContent);
  if (text === "" || text === "n/a") return null;
  const found = text.match(NUMBER);
  if (!found) return text;
  const number = Number(found[0].replace(/[<>,\s]/g, ""));
  return text.startsWith("<") ? number * (1 - 1e-9) : number;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(table, column) {
  const head = table.tHead.rows[0].cells;
  const descending = head[column].getAttribute("aria-sort") === "ascending";
  for (const cell of head) cell.removeAttribute("aria-sort");
  head[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // the empty ones last, in either direction
    return descending ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = element("button", { type: "button", title: "Sort" });
    button.append(...cell.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    cell.append(button);
  });
}

// The rows of every table: those that the table's own filter and the page's filter by architecture leave.
const tables = [...document.querySelectorAll(".wide table")].map((table) => {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  return { table, architecture: names.indexOf("Architecture"), wanted: [], status: null };
});
let architecture = "";

function filterRows(item) {
  const rows = [...item.table.tBodies[0].rows];
  for (const row of rows) {
    const text = [...row.cells].map((cell) => plain(cell.textContent)).join(" ").toLowerCase();
    const own = item.wanted.every((word) => text.includes(word));
    const name = item.architecture < 0 ? architecture : row.cells[item.architecture].textContent.toLowerCase();
    row.hidden = !(own && name.includes(architecture));
  }
  if (item.status) item.status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
}

function makeFilter(item) {
  const bar = element("div", { className: "filter" });
  const label = element("label", { textContent: "Filter " });
  const field = element("input", { type: "search" });
  field.setAttribute("aria-label", `Filter the table ${item.table.caption.textContent.trim()}`);
  item.status = element("span", { role: "status" });
  field.addEventListener("input", () => {
    item.wanted = plain(field.value).toLowerCase().split(/\s+/);
    filterRows(item);
  });
  label.append(field);
  bar.append(label, item.status);
  item.table.parentElement.before(bar);
}

function filterPage(text) {
  architecture = text.trim().toLowerCase();
  tables.forEach(filterRows);
  for (const mark of document.querySelectorAll(".plot circle"))
    mark.classList.toggle("found", architecture !== "" && mark.dataset.arch.toLowerCase().includes(architecture));
}

const tip = element("div", { id: "tip", role: "tooltip", hidden: true });
let told = null; // the point that the tooltip is about

function showTip(mark) {
  told = mark;
  (mark.closest("dialog") || document.body).append(tip); // what a dialog does not hold is behind it
  tip.textContent = mark.getAttribute("aria-label");
  tip.hidden = false;
  const at = mark.getBoundingClientRect();
  const left = Math.min(at.right + 4, document.documentElement.clientWidth - tip.offsetWidth - 4);
  const below = at.bottom + 4 + tip.offsetHeight < window.innerHeight;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, below ? at.bottom + 4 : at.top - tip.offsetHeight - 4)}px`;
}

function hideTip() {
  told = null;
  tip.hidden = true;
}

function nearest(marks, x, y) {
  let best = null, least = NEAR;
  for (const mark of marks) {
    const box = mark.getBoundingClientRect();
    const distance = Math.hypot(box.x + box.width / 2 - x, box.y + box.height / 2 - y);
    if (distance < least) [best, least] = [mark, distance];
  }
  return best;
}

// Tooltips on hover, tap and focus; one stop of the tab key a figure, arrow keys from point to point.
function makeAnswering(plot) {
  const marks = [...plot.querySelectorAll("circle")];
  marks.forEach((mark, i) => {
    mark.tabIndex = i === 0 ? 0 : -1;
    mark.querySelector("title")?.remove(); // the browser's own tooltip, for pages without scripts
    mark.addEventListener("focus", () => showTip(mark));
    mark.addEventListener("blur", hideTip);
    mark.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      marks[(i + step + marks.length) % marks.length].focus({ preventScroll: true });
    });
  });
  const point = (event) => {
    const mark = nearest(marks, event.clientX, event.clientY);
    if (mark) showTip(mark);
    else hideTip();
  };
  plot.addEventListener("pointermove", point);
  plot.addEventListener("click", point);
  plot.addEventListener("pointerleave", hideTip);
}

const dialog = element("dialog");
dialog.setAttribute("aria-label", "Enlarged figure");

function enlarge(plot) {
  const close = element("button", { type: "button", className: "close", textContent: "Close (Esc)" });
  close.addEventListener("click", () => dialog.close());
  const copy = plot.cloneNode(true);
  dialog.replaceChildren(close, copy);
  makeAnswering(copy);
  dialog.showModal();
}

function makeEnlargeable(plot) {
  const button = element("button", { type: "button", className: "enlarge", textContent: "Enlarge" });
  button.addEventListener("click", () => enlarge(plot));
  plot.after(button);
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  hideTip();
  document.body.append(tip);
  dialog.replaceChildren();
});
document.addEventListener("scroll", () => { // also what brings a point into view that the keyboard went to
  if (told && told === document.activeElement) showTip(told);
  else hideTip();
}, { capture: true, passive: true });

document.body.append(tip, dialog);
for (const item of tables) {
  makeSortable(item.table);
  if (item.table.tBodies[0].rows.length > FEW_ROWS) makeFilter(item);
}
const finder = document.querySelector(".finder");
if (finder) {
  finder.hidden = false;
  finder.querySelector("input").addEventListener("input", (event) => filterPage(event.target.value));
}
for (const plot of document.querySelectorAll(".plot")) {
  makeAnswering(plot);
  makeEnlargeable(plot);
}
tables.forEach(filterRows);

// On paper nothing is folded.
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
window.addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
