"use strict";
// The page is complete without this script, which makes its tables sortable.
const value = (row, key) => {
  const text = row.dataset[key];
  return text === undefined || text === "" ? Infinity : Number(text);
};

function orderMatrix(table, key) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const sign = { place: 1, recall: 1, images: -1, mistakes: -1 }[key];
  const before = rows.map((row) => Number(row.dataset.place));
  rows.sort((a, b) => sign * (value(a, key) - value(b, key)) || a.dataset.place - b.dataset.place);
  const order = rows.map((row) => before.indexOf(Number(row.dataset.place)));
  for (const row of [table.tHead.rows[0], ...rows]) {
    const cells = [...row.cells].slice(1);
    row.append(...order.map((index) => cells[index]));
  }
  body.append(...rows);
}

function sortBy(table, column, button) {
  const head = button.parentElement;
  const rising = head.getAttribute("aria-sort") === "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const number = (text) => (/\d/.test(text) ? parseFloat(text.replaceAll(",", "")) : NaN);
  const compare = (a, b) => {
    const [x, y] = [number(key(a)), number(key(b))];
    if (column === 0 || (isNaN(x) && isNaN(y))) return key(a).localeCompare(key(b), undefined, { numeric: true });
    return isNaN(x) ? -Infinity : isNaN(y) ? Infinity : x - y;
  };
  const rows = [...table.tBodies[0].rows].sort((a, b) => (rising ? compare(a, b) : compare(b, a)));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (head.classList.contains("plain")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, column, button));
  });
}

for (const select of document.querySelectorAll("select[data-orders]")) {
  const table = document.getElementById(select.dataset.orders);
  select.addEventListener("change", () => orderMatrix(table, select.value));
  select.closest("[hidden]").hidden = false;
}

function showHints() {
  for (const box of document.querySelectorAll("[data-hint]")) {
    document.querySelector("." + box.dataset.hint).hidden = box.scrollWidth <= box.clientWidth;
  }
}
addEventListener("resize", showHints);
showHints();
