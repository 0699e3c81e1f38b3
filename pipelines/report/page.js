"use strict";
(() => {
  // Plots: colours are named in the figures and looked up in the style sheet, so light and dark have one source.
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const filled = (value, style) => {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map((item) => filled(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, style)]));
    }
    return value;
  };
  // A plot on paper has the width of its column in page.css, less the frame's padding: the window's does not count.
  const PAPER = { narrow: 331, wide: 696 };
  const root = document.documentElement;
  const draw = () => {
    const style = getComputedStyle(root);
    const paper = root.classList.contains("paper");
    for (const figure of figures) {
      const place = document.getElementById(`plot-${figure.id}`);
      const layout = filled(figure.layout, style);
      if (paper) layout.width = place.closest(".wide") ? PAPER.wide : PAPER.narrow;
      Plotly.react(place, filled(figure.data, style), layout, { displayModeBar: false, responsive: !paper });
    }
    root.dataset.drawn = figures.length;
  };
  root.classList.add("js");
  draw();
  for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      root.classList.toggle("paper", paper);
      draw();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  // A table's filters hide rows; on paper, all of them are there.
  for (const filters of document.querySelectorAll("fieldset.filters")) {
    const rows = [...document.getElementById(filters.dataset.for).tBodies[0].rows];
    const { where, path, lead } = filters.elements;
    const apply = () => {
      for (const row of rows) {
        const fits = [
          !where.value || row.dataset.where === where.value,
          !path.value || row.dataset.path === path.value,
          !lead.checked || "lead" in row.dataset,
        ];
        row.classList.toggle("out", fits.includes(false));
      }
      const shown = rows.filter((row) => !row.classList.contains("out")).length;
      filters.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
    };
    filters.addEventListener("change", (event) => {
      // Whoever chooses a path or a place wants to see its rows.
      if (event.target !== lead) lead.checked = false;
      apply();
    });
    filters.hidden = false;
    apply();
  }

  // Tables: a click on a header sorts by it; cells without a value stay at the end.
  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.v ?? cell.textContent.trim();
    return value !== "" && Number.isFinite(+value) ? +value : value;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const down = header.getAttribute("aria-sort") === "ascending";
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => {
          const [x, y] = [key(a, column), key(b, column)];
          if (x === "" || y === "") return (x === "") - (y === "");
          return down ? compare(y, x) : compare(x, y);
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
})();
