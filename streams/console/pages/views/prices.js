// Candles of a spot symbol, with its momentum below.

import { colour } from "../charts.js";
import { card, h, select, setText } from "../dom.js";
import { dollars, eastern, utc } from "../format.js";
import { Remote, address, segment } from "../remote.js";

const SPANS = [["15m", "15 minutes"], ["1h", "1 hour"], ["6h", "6 hours"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"]];
const CREDIT = "https://www.tradingview.com/";

export function show(root) {
  const wanted = { of: null, span: "15m", form: "candles" };
  const head = h("p", { class: "muted" });
  const place = h("div", { class: "controls" });
  const chart = priceChart();
  let newest = 0;
  const bars = new Remote({
    path: () => {
      const [venue, symbol] = wanted.of;
      return address(`/api/prices/${segment(venue)}/${segment(symbol)}`, { span: wanted.span, since: newest });
    },
    every: 2000,
    take: (found) => {
      chart.add(found.bars, newest === 0);
      newest = found.bars.at(-1)?.time ?? newest;
    },
  });
  const begin = () => {
    newest = 0;
    chart.clear(wanted);
    bars.refresh();
  };
  const choose = (name, value) => {
    wanted[name] = name === "of" ? value.split(" ") : value;
    tellHead();
    begin();
  };
  let known = [];
  const tellHead = () => {
    const one = known.find(({ venue, symbol }) => venue === wanted.of?.[0] && symbol === wanted.of?.[1]);
    if (!one) return;
    const quote = one.bid ? `, bid ${dollars(one.bid)}, ask ${dollars(one.ask)}` : "";
    setText(head, `${one.symbol} at ${one.venue}: ${dollars(one.price)}${quote}, ${eastern(one.time)}`);
    head.title = utc(one.time);
  };
  const symbols = new Remote({
    path: () => "/api/symbols",
    every: 2000,
    take: (found) => {
      known = found.symbols;
      if (!known.length) {
        setText(head, "No price is known yet.");
        return;
      }
      if (!wanted.of) {
        const first = known.find((one) => one.is_reference) ?? known.find((one) => one.symbol === "BTC-USD") ?? known[0];
        wanted.of = [first.venue, first.symbol];
        place.replaceChildren(
          select("Symbol", known.map(({ venue, symbol }) => [`${venue} ${symbol}`, `${symbol}, ${venue}`]), wanted.of.join(" "), (value) => choose("of", value)),
          select("Span", SPANS, wanted.span, (value) => choose("span", value)),
          select("As", [["candles", "candles"], ["line", "line"]], wanted.form, (value) => choose("form", value)),
        );
        begin();
      }
      tellHead();
    },
  });
  root.append(
    h("h1", {}, "Prices"),
    card("Price and momentum", place, symbols.element, bars.element, head, chart.element,
      h("p", { class: "fine" }, "Times are Eastern. Momentum is the weighted change over 1 to 30 minutes, in hundredths of a percent; bars of a minute or more have none. Charts by ", h("a", { href: CREDIT, rel: "noreferrer" }, "TradingView Lightweight Charts™"), ".")),
  );
  symbols.refresh();
  return {
    close() {
      symbols.close();
      bars.close();
      chart.close();
    },
  };
}

function priceChart() {
  const box = h("div", { class: "chart tall", role: "img", "aria-label": "Price chart" });
  let library = null;
  let chart = null;
  let price = null;
  let momentum = null;
  let waiting = [];
  let form = "candles";
  const shown = new Map();

  const build = async () => {
    try {
      library ??= await import("../vendor/lightweight-charts.js");
    } catch {
      box.replaceChildren(h("p", { class: "trouble" }, "The chart library is not there: run `python hatch_build.py`, then start the console again."));
      return;
    }
    if (!box.isConnected) return;
    chart?.remove();
    chart = library.createChart(box, options(library));
    price = form === "line"
      ? chart.addSeries(library.LineSeries, { color: colour("accent"), lineWidth: 2 })
      : chart.addSeries(library.CandlestickSeries, candleColours());
    momentum = chart.addSeries(library.HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: true, title: "momentum" }, 1);
    chart.panes()[1]?.setHeight(96);
    waiting = [...shown.values()];
    drain();
    chart.timeScale().fitContent();
  };
  const drain = () => {
    if (!price) return;
    const tones = { up: colour("ok"), down: colour("critical") };
    price.setData(waiting.map((bar) => (form === "line" ? { time: bar.time, value: bar.close } : bar)));
    momentum.setData(waiting.filter((bar) => bar.momentum !== null).map((bar) => ({ time: bar.time, value: bar.momentum, color: bar.momentum < 0 ? tones.down : tones.up })));
  };
  const onTheme = () => build();
  addEventListener("themechange", onTheme);
  const sizing = new ResizeObserver(() => chart?.applyOptions({ width: box.clientWidth, height: box.clientHeight }));
  sizing.observe(box);
  return {
    element: box,
    clear(wanted) {
      shown.clear();
      form = wanted.form;
      build();
    },
    add(bars, isFirst) {
      for (const bar of bars) shown.set(bar.time, numbers(bar));
      waiting = [...shown.values()].sort((a, b) => a.time - b.time);
      drain();
      const last = waiting.at(-1);
      if (last) box.setAttribute("aria-label", `Price chart, ${waiting.length} bars; last ${last.close}, momentum ${last.momentum ?? "none"}`);
      if (isFirst) chart?.timeScale().fitContent();
    },
    close() {
      removeEventListener("themechange", onTheme);
      sizing.disconnect();
      chart?.remove();
      chart = null;
    },
  };
}

/** A chart is drawn with floats; figures in text are exact. */
function numbers(bar) {
  return { time: bar.time, open: Number(bar.open), high: Number(bar.high), low: Number(bar.low), close: Number(bar.close), momentum: bar.momentum };
}

function options(library) {
  const line = colour("line");
  return {
    width: 0,
    height: 0,
    autoSize: true,
    // The logo would bring a style sheet of its own, which the policy of these pages forbids; the
    // text below the chart gives the credit.
    layout: { attributionLogo: false, background: { type: library.ColorType.Solid, color: colour("surface") }, textColor: colour("muted"), panes: { separatorColor: line }, fontFamily: "system-ui, sans-serif" },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, secondsVisible: true, tickMarkFormatter: tick },
    localization: { timeFormatter: (time) => `${eastern(time * 1e6)} Eastern` },
  };
}

const second = new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York", month: "short", day: "numeric" });

/** `kind` is the library's TickMarkType: year, month, day, time, time with seconds. */
function tick(time, kind) {
  const format = [day, day, day, minute, second][kind] ?? minute;
  return format.format(new Date(time * 1000));
}

function candleColours() {
  const [up, down] = [colour("ok"), colour("critical")];
  // Rising candles are hollow: the two differ without colour.
  return { upColor: colour("surface"), borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down, priceLineColor: colour("accent") };
}
