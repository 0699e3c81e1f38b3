// Draws lines with the plot library of the report, in the page's colours; the library is fetched when it is needed.

import { element } from "./dom.mjs";

let loading = null;

export function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = element("script", { src: document.querySelector("meta[name=plotly]").content });
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", () => reject(new Error("the plot library did not load")));
    document.head.append(script);
  });
  return loading;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const COLOURS = 20; // of looks.py, which the style sheet follows

// `lines` are {name, x, y, colour, dash}; `marks` are {at_s, text}.
export async function draw(place, { title, unit, lines, marks }) {
  const plotly = await library();
  const ink = colour("--muted");
  const axis = { color: ink, gridcolor: colour("--grid"), linecolor: colour("--rule"), zeroline: false, rangemode: "tozero" };
  const layout = {
    height: 230, margin: { l: 48, r: 12, t: 8, b: 36 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, size: 12 }, showlegend: false, uirevision: title,
    xaxis: { ...axis, title: { text: "seconds", standoff: 4 } }, yaxis: { ...axis, title: { text: unit } },
    shapes: marks.map(({ at_s: at }) => ({ type: "line", xref: "x", yref: "paper", x0: at, x1: at, y0: 0, y1: 1,
      line: { color: colour("--failed"), width: 1, dash: "dot" } })),
    annotations: marks.map(({ at_s: at, text }) => ({ x: at, y: 1, xref: "x", yref: "paper", text, showarrow: false,
      xanchor: "left", yanchor: "top", textangle: 90, font: { size: 10, color: colour("--failed") } })),
  };
  const data = lines.map((line) => ({ type: "scatter", mode: "lines", name: line.name, x: line.x, y: line.y,
    connectgaps: false, line: { color: colour(`--c${line.colour % COLOURS}`), width: 2, dash: line.dash ?? "solid" } }));
  await plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
}
