// Lines over time, by uPlot, which is loaded when the first chart is shown.

import { h, reconcile, s, setAttribute, setText } from "./dom.js";

const COLOURS = {
  light: ["#1b58b3", "#a8480a", "#17724a", "#8a3fb0", "#b02a24", "#0f7285", "#7a6200", "#5a6470"],
  dark: ["#86b4ff", "#f2a35c", "#58cf99", "#d19cf0", "#ff938a", "#5fc9dd", "#dcc454", "#aab6c2"],
};
// Lines differ by dash too, not by colour alone.
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 4], [12, 4], [1, 4], [6, 2, 1, 2]];
export const MOST_LINES = COLOURS.light.length;

let loading = null;

/** uPlot itself. */
function load() {
  loading ??= (async () => {
    const base = new URL("./vendor/", import.meta.url);
    document.head.append(h("link", { rel: "stylesheet", href: `${base}uPlot.css` }));
    return (await import(`${base}uPlot.js`)).default;
  })();
  return loading;
}

/** Whether the page is dark now. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A colour of the style sheet, resolved. */
export function colour(name) {
  const probe = h("i", { hidden: true });
  document.body.append(probe);
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * A chart of lines. `update({times, lines})`: times are seconds since 1970, a line is
 * {name, values}; `format` makes text of a value.
 */
export function lineChart({ label, format }) {
  const box = h("div", { class: "chart", role: "img", "aria-label": label });
  const legend = h("ul", { class: "chart-legend" });
  const element = h("figure", {}, box, legend);
  let plot = null;
  let names = "";
  let latest = null;
  const build = async () => {
    const given = latest;
    let Plot;
    try {
      Plot = await load();
    } catch {
      box.replaceChildren(h("p", { class: "trouble" }, "The chart library is not there: run `python hatch_build.py`, then start the console again."));
      return;
    }
    if (given !== latest || !element.isConnected) return;
    plot?.destroy();
    plot = new Plot(options(box, latest.lines, format), data(latest), box);
  };
  const draw = () => {
    if (!latest) return;
    const wanted = `${isDark()} ${latest.lines.map((line) => line.name).join("\n")}`;
    if (wanted !== names) {
      names = wanted;
      build();
    } else {
      plot?.setData(data(latest));
    }
    tellLegend(legend, latest.lines, format);
    setAttribute(box, "aria-label", `${label}. ${latest.lines.map((line) => `${line.name}: ${format(last(line.values))}`).join(", ")}`);
  };
  const sizing = new ResizeObserver(() => plot?.setSize({ width: box.clientWidth, height: box.clientHeight }));
  sizing.observe(box);
  addEventListener("themechange", draw);
  return {
    element,
    update(given) {
      latest = given;
      draw();
    },
    close() {
      removeEventListener("themechange", draw);
      sizing.disconnect();
      plot?.destroy();
    },
  };
}

function options(box, lines, format) {
  const shades = COLOURS[isDark() ? "dark" : "light"];
  const [text, grid] = [colour("muted"), colour("line")];
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    legend: { show: false },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.08] } },
    axes: [
      { ...axis, values: axisTimes },
      { ...axis, size: 76, values: (_, values) => values.map(format) },
    ],
    series: [
      {},
      ...lines.map((line, at) => ({ label: line.name, stroke: shades[at % MOST_LINES], width: 1.75, dash: DASHES[at % MOST_LINES], points: { show: false } })),
    ],
  };
}

const parts = { timeZone: "America/New_York", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const minutes = new Intl.DateTimeFormat("en-US", parts);
const seconds = new Intl.DateTimeFormat("en-US", { ...parts, second: "2-digit" });

function axisTimes(_, times, __, ___, step) {
  const format = step < 60 ? seconds : minutes;
  return times.map((time) => format.format(new Date(time * 1000)));
}

function data({ times, lines }) {
  return [times, ...lines.map((line) => line.values)];
}

function last(values) {
  return values.length ? values[values.length - 1] : null;
}

function tellLegend(legend, lines, format) {
  const shades = COLOURS[isDark() ? "dark" : "light"];
  reconcile(legend, lines.map((line, at) => ({ line, at })), ({ line }) => line.name,
    () => h("li", {}, s("svg", { "aria-hidden": "true", viewBox: "0 0 22 8" }, s("path", { d: "M0 4H22", "stroke-width": 2.5, fill: "none" })), h("span")),
    (item, { line, at }) => {
      const path = item.querySelector("path");
      setAttribute(path, "stroke", shades[at % MOST_LINES]);
      setAttribute(path, "stroke-dasharray", DASHES[at % MOST_LINES].join(" "));
      setText(item.lastChild, `${line.name} ${format(last(line.values))}`);
    });
}
