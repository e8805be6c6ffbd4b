"use strict";
(() => {
  const table = document.getElementById("all");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const shown = document.getElementById("shown");
  const filter = document.getElementById("filter");
  const value = (row, column, kind) => {
    const text = row.cells[column].dataset.value ?? "";
    return kind === "number" ? (text === "" ? Infinity : Number(text)) : text;
  };
  const sort = (column, kind) => {
    const head = heads[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = kind === "number"
      ? (a, b) => (a === b ? 0 : a < b ? -1 : 1)
      : (a, b) => a.localeCompare(b, "en", { numeric: true });
    rows.sort((a, b) => compare(value(a, column, kind), value(b, column, kind)) * (down ? -1 : 1));
    body.append(...rows);
  };
  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column, head.dataset.sort));
    head.replaceChildren(button);
  });
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length}`;
  };
  filter.addEventListener("input", apply);
  document.getElementById("tools").hidden = false;
  apply();
})();
