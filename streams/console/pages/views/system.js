// What the whole stands on: feeds and workers, PostgreSQL, disks, the machine, topics and tables.

import { card, h, reconcile, setAttribute, setText, table } from "../dom.js";
import { SIGNS, bytes, count, duration, eastern, feedTone, percent, rate, short, timeCell, utc } from "../format.js";

export function show(root) {
  const sources = h("dl", { class: "facts" });
  const postgres = h("dl", { class: "facts" });
  const host = h("dl", { class: "facts" });
  const tables = [feedTable(), diskTable(), topicTable(), tableTable()];
  const [feeds, disks, topics, sizes] = tables;
  root.append(
    h("h1", {}, "System"),
    h("div", { class: "pair" }, card("Read from", sources), card("This machine", host)),
    card("PostgreSQL", postgres),
    ...tables.map((one) => h("section", { class: "card" }, one.element)),
  );
  return {
    update(picture) {
      facts(sources, sourceFacts(picture));
      facts(postgres, postgresFacts(picture.postgres, picture.database_bytes));
      facts(host, hostFacts(picture.host));
      feeds.update(Object.values(picture.feeds ?? {}).sort((a, b) => a.service.localeCompare(b.service)));
      disks.update(Object.values(picture.disks ?? {}));
      topics.update(Object.values(picture.topics ?? {}).sort((a, b) => a.name.localeCompare(b.name)));
      sizes.update(Object.values(picture.tables ?? {}).sort((a, b) => b.bytes - a.bytes));
    },
  };
}

function facts(list, rows) {
  reconcile(list, rows, ([name]) => name, ([name]) => h("div", {}, h("dt", {}, name), h("dd", {})), (item, [, text, tone, title]) => {
    setText(item.children[1], text);
    setAttribute(item.children[1], "data-tone", tone);
    setAttribute(item.children[1], "title", title);
  });
}

function sourceFacts(picture) {
  const rows = Object.values(picture.sources ?? {}).map((one) => [
    one.name,
    one.is_up ? "● answers" : `■ away, values of ${eastern(one.read)}${one.error ? `: ${one.error}` : ""}`,
    one.is_up ? "ok" : "critical",
    utc(one.read),
  ]);
  return rows;
}

function postgresFacts(one, size) {
  if (!one) return [["Vitals", "not known"]];
  return [
    ["Connections", `${count(one.connections)} of ${count(one.max_connections)}`, one.connections > one.max_connections * 0.8 ? "warning" : null],
    ["Waiting for locks", count(one.waiting_locks), one.waiting_locks ? "warning" : null],
    ["Longest transaction", duration(one.longest_transaction_s), null, one.longest_transaction],
    ["Waiting for a lock", one.blocked ?? "nobody"],
    ["Replication slots", `${count(one.slots)}, holding ${bytes(one.slots_bytes)}`],
    ["Dead rows", `${short(one.dead_rows)} beside ${short(one.live_rows)} live ones`],
    ["Read from memory", percent(one.cache_hits)],
    ["Database", bytes(size)],
  ];
}

function hostFacts(one) {
  if (!one) return [["Machine", "not known"]];
  return [
    ["CPU", `${one.cpu_percent.toFixed(0)} %`],
    ["Load", one.load.toFixed(2)],
    ["Memory", `${bytes(one.memory_used)} of ${bytes(one.memory_total)}`],
  ];
}

function feedTable() {
  return table({
    caption: "Feeds and workers",
    key: (one) => `${one.service} ${one.instance}`,
    empty: "No heartbeat was heard.",
    columns: [
      { name: "Service", cell: (one) => ({ text: one.service, sub: one.detail }) },
      { name: "State", cell: (one) => ({ text: `${SIGNS[feedTone(one.state)]} ${one.state}`, tone: feedTone(one.state), title: `since ${utc(one.since)}` }) },
      { name: "Last frame", cell: (one) => timeCell(one.last_frame) },
      { name: "Frames", numeric: true, cell: (one) => rate(one.frames_per_second) },
      { name: "Events", numeric: true, wide: true, cell: (one) => short(one.events) },
      { name: "Reconnects", numeric: true, wide: true, cell: (one) => count(one.reconnects) },
      { name: "Gaps", numeric: true, wide: true, cell: (one) => count(one.gaps) },
      { name: "Unparsed", numeric: true, wide: true, cell: (one) => (one.unparsed ? { text: count(one.unparsed), tone: "warning" } : "0") },
      { name: "Clock skew", numeric: true, wide: true, cell: (one) => (one.clock_skew_s === undefined ? "–" : `${one.clock_skew_s.toFixed(3)} s`) },
      { name: "CPU", numeric: true, wide: true, cell: (one) => `${one.cpu_percent.toFixed(1)} %` },
      { name: "Memory", numeric: true, wide: true, cell: (one) => bytes(one.memory) },
      { name: "Heard", wide: true, cell: (one) => timeCell(one.heard) },
    ],
  });
}

function diskTable() {
  return table({
    caption: "Disks",
    key: (one) => one.path,
    empty: "No disk is known.",
    columns: [
      { name: "Holds", cell: (one) => ({ text: one.holds, sub: one.path }) },
      { name: "Free", numeric: true, cell: (one) => `${bytes(one.free)} of ${bytes(one.total)}` },
      { name: "Full in", numeric: true, cell: (one) => (one.hours_left === undefined ? "not foreseen" : { text: duration(one.hours_left * 3600), tone: one.hours_left < 72 ? "warning" : null }) },
    ],
  });
}

function topicTable() {
  return table({
    caption: "Topics",
    key: (one) => one.name,
    empty: "No topic is known.",
    columns: [
      { name: "Topic", cell: (one) => one.name },
      { name: "Rate", numeric: true, cell: (one) => rate(one.rate) },
      { name: "Records ever", numeric: true, cell: (one) => count(one.end) },
      { name: "Partitions", numeric: true, wide: true, cell: (one) => count(one.partitions) },
      { name: "On disk", numeric: true, cell: (one) => bytes(one.bytes) },
    ],
  });
}

function tableTable() {
  return table({
    caption: "Tables",
    key: (one) => `${one.projection}.${one.name}`,
    empty: "No table is known.",
    columns: [
      { name: "Table", cell: (one) => one.name },
      { name: "Projection", cell: (one) => one.projection },
      { name: "Rows", numeric: true, cell: (one) => count(one.rows) },
      { name: "On disk", numeric: true, cell: (one) => bytes(one.bytes) },
    ],
  });
}
