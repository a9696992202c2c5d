// A market's order book. Prices are dollars of YES.

import { h, table } from "../dom.js";
import { decimal, dollars, duration, eastern, timeCell } from "../format.js";
import { Remote, address, segment } from "../remote.js";

const DEPTH = 15;

export function show(root, { rest }) {
  return rest.length === 2 ? showBook(root, rest) : showBooks(root);
}

function showBooks(root) {
  const wanted = { ticker: "" };
  const books = table({
    caption: "Markets with a book, those that close next first",
    key: (one) => `${one.venue} ${one.ticker}`,
    empty: "No market has a book.",
    columns: [
      { name: "Market", cell: (one) => ({ text: one.ticker, href: `#/book/${segment(one.venue)}/${segment(one.ticker)}`, sub: one.subtitle ?? one.title }) },
      { name: "Bid", numeric: true, cell: (one) => dollars(one.yes_bid) },
      { name: "Ask", numeric: true, cell: (one) => dollars(one.yes_ask) },
      { name: "Spread", numeric: true, wide: true, cell: (one) => dollars(one.spread) },
      { name: "Book", cell: validity },
      { name: "Closes", wide: true, cell: (one) => timeCell(one.closes) },
      { name: "Status", wide: true, cell: (one) => one.status ?? "–" },
      { name: "Venue", wide: true, cell: (one) => one.venue },
    ],
  });
  const remote = new Remote({ path: () => address("/api/books", wanted), every: 3000, take: (found) => books.update(found.books) });
  const input = h("input", { id: "market", type: "search", autocomplete: "off", spellcheck: "false" });
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      wanted.ticker = input.value.trim().toUpperCase();
      remote.refresh();
    }, 300);
  });
  root.append(
    h("h1", {}, "Order books"),
    h("section", { class: "card" },
      h("div", { class: "controls" }, h("div", { class: "field" }, h("label", { for: "market" }, "Ticker contains"), input)),
      remote.element, books.element),
  );
  remote.refresh();
  return { close: () => remote.close() };
}

const validity = (one) => (one.valid ? { text: "● valid", tone: "ok" } : { text: "▲ not valid", tone: "warning" });

function showBook(root, [venue, ticker]) {
  const about = h("p", { class: "muted" });
  const state = h("p", {});
  const facts = h("dl", { class: "facts" });
  const bids = sideTable("Bids", "bid");
  const asks = sideTable("Asks", "ask");
  const remote = new Remote({
    path: () => `/api/books/${segment(venue)}/${segment(ticker)}`,
    every: 1000,
    take: (found) => {
      about.textContent = describe(found);
      tellState(state, found);
      facts.replaceChildren(...factsOf(found).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
      const most = Math.max(1, ...[...found.bids, ...found.asks].map((level) => Number(level.size)));
      bids.update(found.bids.slice(0, DEPTH).map((level) => ({ ...level, most })));
      asks.update(found.asks.slice(0, DEPTH).map((level) => ({ ...level, most })));
    },
  });
  root.append(
    h("p", {}, h("a", { href: "#/book" }, "← All books")),
    h("h1", {}, ticker),
    h("section", { class: "card" }, remote.element, about, state, facts),
    h("div", { class: "pair" }, h("section", { class: "card" }, bids.element), h("section", { class: "card" }, asks.element)),
  );
  remote.refresh();
  return { close: () => remote.close() };
}

function describe({ venue, market }) {
  const words = [market.title, market.subtitle].filter(Boolean).join(", ");
  const closes = market.closes ? `closes ${eastern(market.closes)} Eastern` : null;
  return [words, venue, closes, market.status, market.result ? `result ${market.result}` : null].filter(Boolean).join(" · ");
}

function tellState(node, { now, state }) {
  if (!state) {
    node.textContent = "▲ no book: no snapshot of it was projected yet";
    node.dataset.tone = "warning";
    return;
  }
  const age = `last changed ${duration((new Date(now) - new Date(state.time)) / 1000)} ago`;
  node.dataset.tone = state.valid ? "ok" : "warning";
  node.textContent = state.valid
    ? `● valid, ${age}`
    : `▲ not valid since ${eastern(state.invalid_since)}: ${state.reason}; ${age}`;
}

function factsOf({ spread, last_trade: trade, quote }) {
  return [
    ["Spread", dollars(spread)],
    ["Last trade", trade ? `${decimal(trade.count)} at ${dollars(trade.yes_price)}${trade.taker_side ? `, ${trade.taker_side} taken` : ""}, ${eastern(trade.time)}` : "–"],
    ["Quote", quote ? `${dollars(quote.yes_bid)} / ${dollars(quote.yes_ask)}, ${eastern(quote.time)}` : "–"],
    ["Volume", decimal(quote?.volume)],
    ["Open interest", decimal(quote?.open_interest)],
  ];
}

function sideTable(caption, name) {
  return table({
    caption,
    key: (level) => level.price,
    empty: `No ${name}.`,
    columns: [
      { name: "Price", cell: (level) => dollars(level.price) },
      { name: "Contracts", numeric: true, cell: (level) => decimal(level.size) },
      { name: "Depth", cell: (level) => ({ text: "▮".repeat(Math.max(1, Math.round((Number(level.size) / level.most) * 14))), title: `${((Number(level.size) / level.most) * 100).toFixed(0)} % of the deepest level`, tone: name }) },
    ],
  });
}
