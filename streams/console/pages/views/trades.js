// Active trades with what they are worth now, all trades, and one trade with its fills and log.

import { card, h, select, table } from "../dom.js";
import { NONE, decimal, dollars, duration, gain, timeCell } from "../format.js";
import { Paged, Remote, address, read, segment } from "../remote.js";

const STATUSES = ["pending", "open", "closing", "closed", "expired", "canceled", "error"];
const STALE_S = 30;

export function show(root, { rest }) {
  return rest.length ? showTrade(root, rest.join("/")) : showTrades(root);
}

const link = (one) => ({ text: one.ticker, href: `#/trades/${segment(one.ticket_id)}`, sub: one.ticket_id });
const quoteAge = (one) => Number(one.quote_age ?? 0);

function showTrades(root) {
  const total = h("p", { class: "muted" });
  const active = activeTable();
  const live = new Remote({
    path: () => "/api/active-trades",
    every: 2000,
    take: ({ trades }) => {
      active.update(trades);
      total.textContent = totalOf(trades);
    },
  });
  const wanted = { status: "", account: "", ticker: "" };
  const all = new Paged({
    path: (before) => address("/api/trades", { ...wanted, before }),
    rows: (found) => found.trades,
    key: (one) => one.ticket_id,
    table: tradeTable(),
  });
  const accounts = h("div", {});
  const filters = h(
    "div",
    { class: "controls" },
    select("Status", [["", "any"], ...STATUSES.map((one) => [one, one])], "", (chosen) => choose("status", chosen)),
    accounts,
    tickerField((text) => choose("ticker", text)),
  );
  const choose = (name, value) => {
    wanted[name] = value;
    all.reset();
  };
  addAccounts(accounts, (chosen) => choose("account", chosen));
  root.append(
    h("h1", {}, "Trades"),
    h("section", { class: "card" }, live.element, active.element, total),
    card("All trades", filters, all.element),
  );
  live.refresh();
  all.remote.refresh();
  return {
    close() {
      live.close();
      all.close();
    },
  };
}

function tickerField(choose) {
  const input = h("input", { id: "ticker", type: "search", autocomplete: "off", spellcheck: "false" });
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => choose(input.value.trim().toUpperCase()), 300);
  });
  return h("div", { class: "field" }, h("label", { for: "ticker" }, "Ticker contains"), input);
}

async function addAccounts(place, choose) {
  try {
    const { accounts } = await read("/api/accounts");
    place.append(select("Account", [["", "all"], ...accounts.map(({ account }) => [account, account])], "", choose));
  } catch {
    // Without the database the lists below say why.
  }
}

/** An exact sum would need decimals; this one is told as rounded. */
function totalOf(trades) {
  if (!trades.length) return "";
  const known = trades.filter((one) => one.unrealized_pnl !== null);
  const sum = known.reduce((total, one) => total + Number(one.unrealized_pnl), 0);
  const rest = trades.length - known.length;
  return `Live profit of ${known.length}: ${gain(sum.toFixed(2)).text} before fees${rest ? `; ${rest} without a mark` : ""}`;
}

function activeTable() {
  return table({
    caption: "Active trades",
    key: (one) => one.ticket_id,
    empty: "No trade is pending, open or closing.",
    columns: [
      { name: "Market", cell: link },
      { name: "Side", cell: (one) => ({ text: `${decimal(one.held)} ${one.side}`, sub: one.status }) },
      { name: "Bought at", numeric: true, wide: true, cell: (one) => dollars(one.buy_price) },
      {
        name: "Mark",
        numeric: true,
        cell: (one) => ({
          text: dollars(one.mark),
          sub: one.quote_age === null ? "no quote" : `${duration(quoteAge(one))} old`,
          tone: quoteAge(one) > STALE_S ? "warning" : null,
        }),
      },
      { name: "Live profit", numeric: true, cell: (one) => gain(one.unrealized_pnl) },
      { name: "Probability", numeric: true, wide: true, cell: (one) => (one.implied_probability === null ? NONE : `${(Number(one.implied_probability) * 100).toFixed(0)} %`) },
      { name: "Price to strike", numeric: true, wide: true, cell: (one) => ({ text: one.buffer === null ? NONE : decimal(one.buffer), title: one.symbol_price === null ? null : `${one.symbol} ${decimal(one.symbol_price)}, strike ${decimal(one.strike)}` }) },
      { name: "Closes in", numeric: true, wide: true, cell: (one) => (one.time_to_close === null ? NONE : Number(one.time_to_close) > 0 ? duration(Number(one.time_to_close)) : "closed") },
      { name: "Opened", wide: true, cell: (one) => timeCell(one.opened_at) },
    ],
  });
}

function tradeTable() {
  return table({
    caption: "All trades, newest first",
    showCaption: false,
    key: (one) => one.ticket_id,
    empty: "No trade is like that.",
    columns: [
      { name: "Market", cell: link },
      { name: "Status", cell: (one) => ({ text: one.status, sub: one.close_method ? `by ${one.close_method}` : null }) },
      { name: "Asked", cell: (one) => timeCell(one.asked_at) },
      { name: "Side", cell: (one) => ({ text: `${decimal(one.position)} ${one.side}`, sub: one.position === one.requested ? null : `of ${decimal(one.requested)}` }) },
      { name: "Bought at", numeric: true, wide: true, cell: (one) => dollars(one.buy_price) },
      { name: "Sold at", numeric: true, wide: true, cell: (one) => dollars(one.sell_price) },
      { name: "Fees", numeric: true, wide: true, cell: (one) => ({ text: dollars(one.fees), title: one.fee_estimated ? "estimated" : null }) },
      { name: "Profit", numeric: true, cell: (one) => gain(one.pnl) },
      { name: "Account", wide: true, cell: (one) => one.account },
    ],
  });
}

function showTrade(root, ticket) {
  const title = h("h1", {}, ticket);
  const facts = h("dl", { class: "facts" });
  const fills = table({
    caption: "Fills",
    key: (one) => `${one.trade_id} ${one.part}`,
    empty: "Nothing was filled.",
    columns: [
      { name: "Time", cell: (one) => timeCell(one.time) },
      { name: "Role", cell: (one) => one.role },
      { name: "Filled", cell: (one) => `${decimal(one.count)} ${one.side}` },
      { name: "Price", numeric: true, cell: (one) => dollars(one.price) },
      { name: "Fee", numeric: true, cell: (one) => ({ text: dollars(one.fee), sub: one.fee_source }) },
      { name: "Venue's trade id", wide: true, cell: (one) => one.trade_id },
    ],
  });
  const log = table({
    caption: "What the log says",
    key: (one) => `${one.topic} ${one.partition} ${one.offset} ${one.what}`,
    empty: "Nothing.",
    columns: [
      { name: "Time", cell: (one) => timeCell(one.time) },
      { name: "What", cell: (one) => ({ text: one.what, sub: one.detail }) },
      { name: "Record", wide: true, cell: (one) => `${one.topic}[${one.partition}]@${one.offset}` },
    ],
  });
  const remote = new Remote({
    path: () => `/api/trades/${segment(ticket)}`,
    every: 5000,
    take: (found) => {
      title.textContent = found.trade?.ticker ?? ticket;
      facts.replaceChildren(...factsOf(found));
      fills.update(found.fills);
      log.update(found.log);
    },
  });
  root.append(
    h("p", {}, h("a", { href: "#/trades" }, "← All trades")),
    title,
    h("section", { class: "card" }, remote.element, facts),
    h("section", { class: "card" }, fills.element),
    h("section", { class: "card" }, log.element),
  );
  remote.refresh();
  return { close: () => remote.close() };
}

function factsOf({ trade, prices }) {
  if (!trade) return [h("div", {}, h("dt", {}, "Trade"), h("dd", {}, "no open command of this ticket is known"))];
  const moment = (time) => timeCell(time);
  const rows = [
    ["Status", { text: trade.status }],
    ["Profit", gain(trade.pnl)],
    ["Side", { text: `${decimal(trade.position)} ${trade.side} of ${decimal(trade.requested)}` }],
    ["Held", { text: decimal(trade.held) }],
    ["Bought at", { text: dollars(trade.buy_price) }],
    ["Sold at", { text: dollars(trade.sell_price) }],
    ["Fees", { text: `${dollars(trade.fees)}${trade.fee_estimated ? ", estimated" : ""}` }],
    ["Asked", moment(trade.asked_at)],
    ["Opened", moment(trade.opened_at)],
    ["Closed", moment(trade.closed_at)],
    ["Contract", { text: trade.contract ?? NONE }],
    ["Strike", { text: decimal(trade.strike) }],
    ["Probability asked for", { text: trade.prob === null ? NONE : `${decimal(trade.prob)} %` }],
    ["Strategy", { text: trade.trade_strategy ?? NONE }],
    ["Entry, close", { text: `${trade.entry_method ?? NONE}, ${trade.close_method ?? NONE}` }],
    ["Account", { text: trade.account }],
    ["Ticket", { text: trade.ticket_id }],
    [`${trade.symbol ?? "Underlying"} at open, close`, { text: prices ? `${decimal(prices.symbol_open)}, ${decimal(prices.symbol_close)}` : NONE }],
    ["Momentum when asked", { text: prices?.momentum === null || !prices ? NONE : String(prices.momentum) }],
  ];
  return rows.map(([name, { text, title, tone }]) =>
    h("div", {}, h("dt", {}, name), h("dd", { title, "data-tone": tone }, text)),
  );
}
