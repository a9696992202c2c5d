// Groups and partitions: who is behind, by how much, where it goes; and the last hour of it.

import { MOST_LINES, lineChart } from "../charts.js";
import { card, h, select, setText, table } from "../dom.js";
import { count, duration, rate, short, timeCell } from "../format.js";
import { Remote, address } from "../remote.js";

const HOUR = 3600;
const LATE_S = 5;
// Of all groups together.
const MOST_WORST = 12;
const TRENDS = { steady: "→ steady", rising: "↗ rising", falling: "↘ falling" };
const BURROW_GOOD = ["OK", "NOTFOUND"];

export function show(root) {
  let group = "";
  let latest = null;
  const groups = groupTable();
  const partitions = partitionTable();
  const rest = h("p", { class: "muted" });
  const choice = h("div", { class: "controls" });
  const history = historyCards();
  root.append(
    h("h1", {}, "Lag"),
    h("section", { class: "card" }, groups.element),
    history.element,
    h("section", { class: "card" }, choice, partitions.element, rest),
  );
  const update = (picture) => {
    latest = picture;
    const all = Object.values(picture.groups ?? {}).sort(byImportance);
    groups.update(all);
    const names = ["", ...all.map((one) => one.name)];
    const known = names.join("\n");
    if (choice.known !== known) {
      choice.known = known;
      if (!names.includes(group)) group = "";
      choice.replaceChildren(
        select("Partitions of", names.map((name) => [name, name || "all groups"]), group, (chosen) => {
          group = chosen;
          update(latest);
        }),
      );
    }
    const rows = partitionRows(all, group);
    const most = group ? rows.length : MOST_WORST;
    partitions.update(rows.slice(0, most));
    setText(rest, rows.length > most ? `The worst ${most} of ${count(rows.length)}; choose a group to see all of its partitions.` : "");
  };
  return { update, close: history.close };
}

/** Ours first, then what is wrong; else by name, so that rows stay where they are. */
function byImportance(a, b) {
  return !a.projection - !b.projection || badness(b) - badness(a) || a.name.localeCompare(b.name);
}

/** 0 for what keeps up; whole steps, so that what is behind by much the same keeps its order. */
function badness(one) {
  const late = one.lag_s ?? 0;
  return (one.state === "ok" ? 0 : 1000) + (late < LATE_S ? 0 : Math.ceil(Math.log2(late)));
}

function partitionRows(groups, wanted) {
  return groups
    .filter((group) => !wanted || group.name === wanted)
    .flatMap((group) => Object.values(group.partitions).map((one) => ({ ...one, group: group.name })))
    .sort((a, b) => (wanted ? 0 : badness(b) - badness(a)) || a.topic.localeCompare(b.topic) ||
      a.partition - b.partition || a.group.localeCompare(b.group));
}

const stateCell = (one) => (one.state === "ok" ? { text: "● ok", tone: "ok" } : { text: `■ ${one.state}`, tone: "critical" });
const lagCell = (one) => ({ text: one.lag ? duration(one.lag_s) : "nothing", sub: one.lag ? `${count(one.lag)} records` : null });
const burrowCell = (one) => (BURROW_GOOD.includes(one.burrow) ? one.burrow : { text: one.burrow, tone: "warning" });

function groupTable() {
  return table({
    caption: "Consumer groups",
    key: (one) => one.name,
    empty: "No group is known.",
    columns: [
      { name: "Group", cell: (one) => ({ text: one.projection ?? one.name, sub: one.projection ? `projection, group ${one.name}` : null }) },
      { name: "State", cell: stateCell },
      { name: "Burrow", wide: true, cell: burrowCell },
      { name: "Behind", numeric: true, cell: lagCell },
      { name: "Consumed", numeric: true, wide: true, cell: (one) => rate(one.consumed) },
      { name: "Arriving", numeric: true, wide: true, cell: (one) => rate(one.arriving) },
      { name: "Trend", wide: true, cell: (one) => TRENDS[one.trend] },
      { name: "Caught up in", numeric: true, wide: true, cell: (one) => (one.lag ? duration(one.catch_up_s) : "is") },
      { name: "Members", numeric: true, wide: true, cell: (one) => ({ text: count(one.members), title: one.kafka_state }) },
    ],
  });
}

function partitionTable() {
  return table({
    caption: "Partitions",
    key: (one) => `${one.group} ${one.topic} ${one.partition}`,
    empty: "No partition is known.",
    columns: [
      { name: "Partition", cell: (one) => ({ text: `${one.topic}[${one.partition}]`, sub: one.group }) },
      { name: "State", cell: stateCell },
      { name: "Burrow", wide: true, cell: burrowCell },
      { name: "Behind", numeric: true, cell: lagCell },
      { name: "Next", numeric: true, wide: true, cell: (one) => count(one.current) },
      { name: "End", numeric: true, wide: true, cell: (one) => count(one.end) },
      { name: "Moved", wide: true, cell: (one) => timeCell(one.moved) },
      { name: "Deleted in", numeric: true, wide: true, cell: (one) => (one.hours_left === undefined ? "–" : duration(one.hours_left * 3600)) },
      { name: "Owner", wide: true, cell: (one) => one.owner ?? { text: "nobody", tone: "warning" } },
    ],
  });
}

/** The last hour, kept here and added to, so that each look asks only for what is new. */
function historyCards() {
  const seen = { times: [], groups: {}, topics: {} };
  const charts = [
    { of: "groups", column: "lag_s", title: "Time behind, last hour", format: duration },
    { of: "groups", column: "lag", title: "Records behind, last hour", format: short },
    { of: "groups", column: "consumed", title: "Consumed, last hour", format: rate },
    { of: "topics", column: "rate", title: "Appended by topic, last hour", format: rate },
  ].map((one) => ({ ...one, chart: lineChart({ label: one.title, format: one.format }) }));
  const remote = new Remote({
    path: () => address("/api/history", { since: seen.times.at(-1) ?? 0 }),
    every: 5000,
    take: (found) => {
      append(seen, found);
      for (const { of, column, chart } of charts) chart.update(linesOf(seen, of, column));
    },
  });
  const element = h("div", { class: "pair" }, remote.element, ...charts.map(({ title, chart }) => card(title, chart.element)));
  remote.refresh();
  return {
    element,
    close() {
      remote.close();
      for (const { chart } of charts) chart.close();
    },
  };
}

/** Adds newer points, and drops what is older than an hour. */
export function append(seen, found) {
  const before = seen.times.length;
  seen.times.push(...found.times);
  const old = seen.times.findIndex((time) => time > seen.times.at(-1) - HOUR * 1e6);
  seen.times.splice(0, Math.max(0, old));
  for (const of of ["groups", "topics"]) {
    const names = new Set([...Object.keys(seen[of]), ...Object.keys(found[of])]);
    for (const name of names) {
      const columns = Object.keys(found[of][name] ?? seen[of][name]);
      seen[of][name] ??= {};
      for (const column of columns) {
        const had = seen[of][name][column] ?? new Array(before).fill(null);
        const more = found[of][name]?.[column] ?? new Array(found.times.length).fill(null);
        seen[of][name][column] = [...had, ...more].slice(Math.max(0, old));
      }
    }
  }
}

function linesOf(seen, of, column) {
  const lines = Object.entries(seen[of])
    .map(([name, columns]) => ({ name: name.replace(/^tickertape\./, ""), values: columns[column] }))
    .sort((a, b) => weight(b.values) - weight(a.values))
    .slice(0, MOST_LINES)
    .sort((a, b) => a.name.localeCompare(b.name));
  return { times: seen.times.map((time) => time / 1e6), lines };
}

/** Those with the most in the last minutes are shown. */
function weight(values) {
  return Math.max(0, ...values.slice(-60).map((value) => value ?? 0));
}
