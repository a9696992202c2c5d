// What an account holds and did: positions, fills, the cash ledger.

import { card, h, select, table } from "../dom.js";
import { NONE, decimal, dollars, eastern, gain, timeCell } from "../format.js";
import { Paged, Remote, address } from "../remote.js";

export function show(root) {
  const wanted = { account: null, held: "true" };
  const place = h("div", { class: "controls" });
  const balance = h("p", { class: "muted" });
  const differences = h("p", { class: "trouble", hidden: true });
  const positions = positionTable();
  const ledger = ledgerTable();
  const held = new Remote({
    path: () => address("/api/positions", { account: wanted.account, held: wanted.held }),
    every: 5000,
    take: (found) => positions.update(found.positions),
  });
  const cash = new Remote({
    path: () => address("/api/cash", { account: wanted.account }),
    every: 15_000,
    take: (found) => ledger.update(found.ledger),
  });
  const fills = new Paged({
    path: (before) => address("/api/fills", { account: wanted.account, before }),
    rows: (found) => found.fills,
    key: (one) => `${one.account} ${one.trade_id} ${one.origin}`,
    table: fillTable(),
  });
  const choose = (account) => {
    wanted.account = account;
    for (const one of [held, cash]) one.refresh();
    fills.reset();
  };
  const accounts = new Remote({
    path: () => "/api/accounts",
    every: 10_000,
    take: ({ accounts: known }) => {
      if (!known.length) {
        balance.textContent = "No account is known yet.";
        return;
      }
      if (wanted.account === null) {
        choose(known[0].account);
        place.replaceChildren(
          select("Account", known.map(({ account }) => [account, account]), wanted.account, choose),
          select("Positions", [["true", "that hold contracts"], ["false", "all"]], "true", (chosen) => {
            wanted.held = chosen;
            held.refresh();
          }),
        );
      }
      const one = known.find(({ account }) => account === wanted.account);
      balance.textContent = one?.balance ? `Available cash ${dollars(one.balance)} at ${eastern(one.time)}` : "";
    },
  });
  root.append(
    h("h1", {}, "Account"),
    h("section", { class: "card" }, accounts.element, place, balance, differences),
    h("section", { class: "card" }, held.element, positions.element),
    card("Fills", fills.element),
    h("section", { class: "card" }, cash.element, ledger.element),
  );
  accounts.refresh();
  return {
    update(picture) {
      const about = (picture.accounts ?? {})[wanted.account];
      const told = about ? wrongIn(about) : "";
      differences.textContent = told;
      differences.hidden = !told;
    },
    close() {
      for (const one of [held, cash, fills, accounts]) one.close();
    },
  };
}

function wrongIn(about) {
  const wrong = [
    about.unmatched_fills ? `${about.unmatched_fills} fills belong to no trade` : null,
    about.position_differences ? `the venue says otherwise of ${about.position_differences} positions` : null,
    Number(about.unexplained) ? `nothing explains ${dollars(about.unexplained)} of the cash` : null,
  ].filter(Boolean);
  return wrong.length ? `▲ ${wrong.join("; ")}.` : "";
}

function positionTable() {
  return table({
    caption: "Positions",
    key: (one) => `${one.account} ${one.ticker}`,
    empty: "Nothing is held.",
    columns: [
      { name: "Market", cell: (one) => one.ticker },
      { name: "Contracts", numeric: true, cell: contracts },
      { name: "Cost", numeric: true, cell: (one) => dollars(one.cost) },
      { name: "Realized", numeric: true, cell: (one) => gain(one.realized_pnl) },
      { name: "Fees", numeric: true, wide: true, cell: (one) => dollars(one.fees_paid) },
      { name: "Volume", numeric: true, wide: true, cell: (one) => decimal(one.volume) },
      { name: "Payout", numeric: true, wide: true, cell: (one) => dollars(one.payout) },
      { name: "Updated", wide: true, cell: (one) => timeCell(one.updated_at) },
    ],
  });
}

function contracts(one) {
  const size = decimal(one.position.replace("-", ""));
  const text = Number(one.position) === 0 ? "none" : `${size} ${one.position.startsWith("-") ? "no" : "yes"}`;
  if (one.venue_says === null) return text;
  return { text, sub: `venue: ${decimal(one.venue_says)}`, tone: "warning" };
}

function fillTable() {
  return table({
    caption: "Fills, newest first",
    showCaption: false,
    key: (one) => `${one.account} ${one.trade_id} ${one.origin}`,
    empty: "No fill is known.",
    columns: [
      { name: "Time", cell: (one) => timeCell(one.time) },
      { name: "Market", cell: (one) => one.ticker },
      { name: "Bought", cell: (one) => `${decimal(one.count)} ${one.side}` },
      { name: "Price", numeric: true, cell: (one) => dollars(one.price) },
      { name: "Fee", numeric: true, wide: true, cell: (one) => dollars(one.fee) },
      { name: "Role", wide: true, cell: (one) => (one.is_taker === null ? NONE : one.is_taker ? "taker" : "maker") },
      { name: "Venue's trade id", wide: true, cell: (one) => one.trade_id },
    ],
  });
}

function ledgerTable() {
  const money = (name, wide = true) => ({ name: name[0].toUpperCase() + name.slice(1), numeric: true, wide, cell: (one) => gain(zeroIsNone(one[name])) });
  return table({
    caption: "Cash ledger, newest first",
    key: (one) => one.time,
    empty: "No balance is known.",
    columns: [
      { name: "Balance of", cell: (one) => timeCell(one.time) },
      { name: "Balance", numeric: true, cell: (one) => dollars(one.balance) },
      { name: "Change", numeric: true, cell: (one) => gain(one.change) },
      money("fills"),
      money("fees"),
      money("settlements"),
      money("transfers"),
      money("holds"),
      { name: "Unexplained", numeric: true, cell: (one) => (Number(one.unexplained) ? { text: dollars(one.unexplained), tone: "warning" } : "–") },
    ],
  });
}

const zeroIsNone = (text) => (Number(text) ? text : null);
