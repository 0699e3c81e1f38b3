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
  // A tall one is squeezed onto a page if its names then still have room.
  const PAPER = { narrow: 331, wide: 696, high: 930, least: 0.77 };
  const root = document.documentElement;
  // Lines are drawn of the rows that are ticked. Each takes the first dash that no other line of its colour has, and
  // keeps it; without boxes to tick, all lines are drawn.
  const lines = document.querySelector("fieldset.picks");
  const ticks = lines ? [...lines.querySelectorAll("input")] : [];
  const dashes = lines ? JSON.parse(lines.dataset.dashes) : [];
  const dashOf = new Map();
  const pick = () => {
    for (const box of ticks) {
      if (!box.checked) dashOf.delete(box.value);
    }
    for (const box of ticks) {
      if (!box.checked || dashOf.has(box.value)) continue;
      const same = ticks.filter((other) => other.dataset.colour === box.dataset.colour);
      const taken = same.map((other) => dashOf.get(other.value));
      const dash = dashes.find((one) => !taken.includes(one)) ?? dashes[dashes.length - 1];
      dashOf.set(box.value, dash);
      box.parentElement.querySelector("line").style.strokeDasharray = dash === "solid" ? "none" : dash;
    }
  };
  const picked = (data) =>
    lines
      ? data
          .filter((one) => !one.legendgroup || dashOf.has(one.legendgroup))
          .map((one) =>
            one.legendgroup ? { ...one, line: { ...one.line, dash: dashOf.get(one.legendgroup) } } : one)
      : data;
  const lined = figures.filter((figure) => figure.data.some((one) => one.legendgroup));
  const draw = (chosen) => {
    const style = getComputedStyle(root);
    const paper = root.classList.contains("paper");
    for (const figure of chosen) {
      const place = document.getElementById(`plot-${figure.id}`);
      const layout = filled(figure.layout, style);
      if (paper) {
        layout.width = place.closest(".wide") ? PAPER.wide : PAPER.narrow;
        const part = Math.min(1, PAPER.high / layout.height);
        if (part >= PAPER.least) {
          layout.height *= part;
          for (const one of layout.annotations ?? []) one.yshift *= part;
        }
      }
      place.style.height = `${layout.height}px`;
      Plotly.react(place, filled(picked(figure.data), style), layout, { displayModeBar: false, responsive: !paper });
    }
    root.dataset.drawn = figures.length;
  };
  root.classList.add("js");
  pick();
  draw(figures);
  if (lines) {
    const redraw = () => {
      pick();
      draw(lined);
    };
    lines.addEventListener("change", redraw);
    for (const button of lines.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        for (const box of ticks) box.checked = button.dataset.of in box.dataset;
        redraw();
      });
    }
  }
  // On paper, everything is open.
  let closed = [];
  for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      root.classList.toggle("paper", paper);
      if (paper) closed = [...document.querySelectorAll("details:not([open])")];
      for (const one of closed) one.open = paper;
      draw(figures);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(figures));

  // The filters of tables hide rows; on paper, all of them are there. A path's best row unfolds the others.
  for (const filters of document.querySelectorAll("fieldset.filters")) {
    const tables = filters.dataset.for.split(" ").map((id) => document.getElementById(id));
    const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
    const { where, path, lead } = filters.elements;
    const open = new Set();
    const folds = [];
    const apply = () => {
      for (const row of rows) {
        const fits = [
          !where.value || row.dataset.where === where.value,
          !path.value || row.dataset.path === path.value,
          !lead.checked || "lead" in row.dataset || open.has(row.dataset.path),
        ];
        row.classList.toggle("out", fits.includes(false));
      }
      for (const [button, name, more] of folds) {
        button.hidden = !lead.checked;
        button.setAttribute("aria-expanded", open.has(name));
        button.textContent = `${open.has(name) ? "−" : "+"}${more}`;
      }
      const shown = rows.filter((row) => !row.classList.contains("out")).length;
      filters.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
    };
    for (const row of rows.filter((one) => "lead" in one.dataset)) {
      const name = row.dataset.path;
      const more = [...row.parentElement.rows].filter((one) => one.dataset.path === name).length - 1;
      if (!more) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "more";
      button.setAttribute("aria-label", `${more} more rows of ${name}`);
      button.addEventListener("click", () => {
        if (!open.delete(name)) open.add(name);
        apply();
      });
      row.cells[0].append(button);
      folds.push([button, name, more]);
    }
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
