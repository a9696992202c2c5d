// The way of the records, drawn: feeds, topics, projections, tables, with rates and lag between.

import { h, reconcile, s, setAttribute, setText } from "./dom.js";
import { bytes, count, duration, rate, short } from "./format.js";

const ROW = 46;
const GAP = 10;
const SMALL_ROW = 32;
const TOP = 30;
const MOST_TABLES = 3;
// Below this width the same is a list.
const NARROWEST = 760;

// Heartbeats do not say which topics a feed fills.
const TOPICS_OF = {
  "kalshi-market": ["kalshi.market", "kalshi.lifecycle"],
  "kalshi-books": ["kalshi.market"],
  "kalshi-account": ["kalshi.account"],
};
const GOOD = ["connected", "standby"];

/** The drawing and the list of the same; `update` takes a picture. */
export function topology() {
  const picture = s("svg", { class: "topology", "aria-hidden": "true", focusable: "false" });
  const layers = { edges: s("g"), labels: s("g"), heads: s("g"), nodes: s("g") };
  picture.append(layers.edges, layers.nodes, layers.labels, layers.heads);
  const list = h("ul", { class: "flows" });
  const element = h("div", { class: "topology-box" }, picture, list);
  let latest = null;
  const draw = () => {
    if (!latest) return;
    const graph = graphOf(latest);
    tellAsList(list, graph);
    const width = element.clientWidth;
    element.classList.toggle("narrow", width < NARROWEST);
    if (width >= NARROWEST) drawGraph(picture, layers, graph, width);
  };
  new ResizeObserver(draw).observe(element);
  return {
    element,
    update(given) {
      latest = given;
      draw();
    },
  };
}

/** Nodes in four columns, and the edges between them. Pure. */
export function graphOf(picture) {
  const feeds = feedNodes(Object.values(picture.feeds ?? {}));
  const groups = Object.values(picture.groups ?? {}).filter((group) => group.projection);
  const topics = topicNodes(picture, groups);
  const known = new Set(topics.map((topic) => topic.id));
  const projections = groups
    .sort((a, b) => firstTopic(topics, a) - firstTopic(topics, b))
    .map(projectionNode);
  const tables = tableNodes(Object.values(picture.tables ?? {}), projections);
  const edges = [
    ...feeds.flatMap((feed) =>
      feed.topics.filter((topic) => known.has(topic)).map((topic, at) => ({
        from: feed.id, to: topic, rate: at ? 0 : feed.rate, tone: feed.tone, label: at ? "" : rate(feed.rate),
      })),
    ),
    ...groups.flatMap((group) => readEdges(group)),
    ...tables.map((table) => ({ from: `p:${table.projection}`, to: table.id, rate: 0, tone: "none", label: "" })),
  ];
  const columns = [["Feeds", feeds], ["Topics", topics], ["Projections", projections], ["Tables", tables]];
  return { columns, edges };
}

function feedNodes(feeds) {
  const byService = new Map();
  for (const feed of feeds.filter((one) => one.service.startsWith("producer/"))) {
    const name = feed.service.slice("producer/".length);
    const node = byService.get(name) ?? { id: `f:${name}`, name, rate: 0, states: [], topics: TOPICS_OF[name] ?? ["price.ticks"] };
    node.rate += feed.frames_per_second ?? 0;
    node.states.push(feed.state);
    byService.set(name, node);
  }
  // Of several instances one works, and others stand by.
  return [...byService.values()]
    .map((node) => {
      const state = node.states.includes("connected") ? "connected" : node.states[0];
      return { ...node, detail: state, tone: GOOD.includes(state) ? "ok" : "critical" };
    })
    .sort((a, b) => topicRank(a.topics[0]) - topicRank(b.topics[0]) || a.name.localeCompare(b.name));
}

const TOPIC_ORDER = ["price.ticks", "kalshi.market", "kalshi.lifecycle", "kalshi.account", "trade.commands", "trade.events", "system.health"];

function topicRank(name) {
  const at = TOPIC_ORDER.indexOf(name);
  return at < 0 ? TOPIC_ORDER.length : at;
}

function topicNodes(picture, groups) {
  const read = new Set(groups.flatMap((group) => Object.values(group.partitions).map((one) => one.topic)));
  return Object.values(picture.topics ?? {})
    .filter((topic) => read.has(topic.name) || topicRank(topic.name) < TOPIC_ORDER.length)
    .sort((a, b) => topicRank(a.name) - topicRank(b.name) || a.name.localeCompare(b.name))
    .map((topic) => ({ id: topic.name, name: topic.name, detail: rate(topic.rate), tone: "none" }));
}

function firstTopic(topics, group) {
  const read = new Set(Object.values(group.partitions).map((one) => one.topic));
  return topics.findIndex((topic) => read.has(topic.name));
}

function projectionNode(group) {
  const tone = group.state === "ok" ? (behind(group.lag_s) ? "warning" : "ok") : "critical";
  const lag = group.lag ? `${short(group.lag)} behind` : "nothing waits";
  return { id: `p:${group.projection}`, name: group.projection, detail: group.state === "ok" ? lag : `${group.state}, ${lag}`, tone };
}

function behind(seconds) {
  return (seconds ?? 0) >= 5;
}

function tableNodes(tables, projections) {
  return projections.flatMap(({ name }) =>
    tables
      .filter((table) => table.projection === name)
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, MOST_TABLES)
      .map((table) => ({
        id: `t:${name}.${table.name}`, projection: name, name: table.name, small: true,
        detail: `${short(table.rows)} rows, ${bytes(table.bytes)}`, tone: "none",
      })),
  );
}

function readEdges(group) {
  const byTopic = new Map();
  for (const one of Object.values(group.partitions)) {
    const sum = byTopic.get(one.topic) ?? { lag: 0, lag_s: 0, bad: false };
    sum.lag += one.lag;
    sum.lag_s = Math.max(sum.lag_s, one.lag_s ?? 0);
    sum.bad ||= one.state !== "ok";
    byTopic.set(one.topic, sum);
  }
  return [...byTopic].map(([topic, sum]) => ({
    from: topic,
    to: `p:${group.projection}`,
    rate: group.consumed ?? 0,
    tone: sum.bad ? "critical" : behind(sum.lag_s) ? "warning" : "ok",
    label: sum.lag ? `${short(sum.lag)}, ${duration(sum.lag_s)}` : "0",
    told: sum.lag ? `${count(sum.lag)} records, ${duration(sum.lag_s)} behind` : "nothing waits",
  }));
}

function drawGraph(picture, layers, { columns, edges }, width) {
  const nodeWidth = Math.min(190, (width - 3 * 96) / 4);
  const space = (width - 4 * nodeWidth) / 3;
  const tall = (nodes) => nodes.reduce((sum, node) => sum + heightOf(node) + GAP, -GAP);
  const height = TOP + Math.max(0, ...columns.map(([, nodes]) => tall(nodes))) + 4;
  const places = new Map();
  const nodes = columns.flatMap(([, members], column) => {
    let y = TOP + (height - TOP - tall(members)) / 2;
    return members.map((node) => {
      const place = { ...node, x: column * (nodeWidth + space), y, height: heightOf(node) };
      places.set(node.id, place);
      y += place.height + GAP;
      return place;
    });
  });
  setAttribute(picture, "viewBox", `0 0 ${width} ${height}`);
  setAttribute(picture, "height", height);
  const drawn = edges
    .filter((edge) => places.has(edge.from) && places.has(edge.to))
    .map((edge) => curve(edge, places.get(edge.from), places.get(edge.to), nodeWidth));
  reconcile(layers.heads, columns.map(([name], at) => ({ name, x: at * (nodeWidth + space) })), (one) => one.name,
    () => s("text", { class: "head", y: 13 }), (node, one) => { setAttribute(node, "x", one.x); setText(node, one.name); });
  reconcile(layers.edges, drawn, keyOf, () => s("path"), updateEdge);
  reconcile(layers.labels, drawn.filter((edge) => edge.label), keyOf, makeLabel, updateLabel);
  reconcile(layers.nodes, nodes, (node) => node.id, makeNode, (element, node) => updateNode(element, node, nodeWidth));
}

const keyOf = (edge) => `${edge.from} ${edge.to}`;
const heightOf = (node) => (node.small ? SMALL_ROW : ROW);

function curve(edge, from, to, nodeWidth) {
  const [x1, y1] = [from.x + nodeWidth, from.y + from.height / 2];
  const [x2, y2] = [to.x, to.y + to.height / 2];
  const middle = (x1 + x2) / 2;
  return {
    ...edge,
    path: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`,
    weight: 1.2 + Math.log10(1 + edge.rate) * 1.1,
    // Where the curve begins, edges lie apart, and it is nearly level.
    x: x1 + 8,
    y: y1 - 9,
  };
}

function updateEdge(path, edge) {
  setAttribute(path, "d", edge.path);
  setAttribute(path, "stroke-width", edge.weight.toFixed(1));
  setAttribute(path, "class", `edge ${edge.tone}`);
}

function makeLabel() {
  return s("text", { class: "label", dy: "0.32em" });
}

function updateLabel(text, edge) {
  setAttribute(text, "x", edge.x);
  setAttribute(text, "y", edge.y);
  setAttribute(text, "class", `label ${edge.tone}`);
  setText(text, edge.label);
}

function makeNode(node) {
  const link = s("g", {}, s("rect", { rx: 8 }), s("circle", { r: 4 }), s("text", { class: "name" }), s("text", { class: "detail" }));
  setAttribute(link, "class", node.small ? "node small" : "node");
  return link;
}

function updateNode(group, node, width) {
  const [box, dot, name, detail] = group.children;
  setAttribute(group, "transform", `translate(${node.x} ${node.y})`);
  setAttribute(group, "class", `node ${node.tone}${node.small ? " small" : ""}`);
  setAttribute(box, "width", width);
  setAttribute(box, "height", node.height);
  setAttribute(dot, "cx", width - 14);
  setAttribute(dot, "cy", 15);
  for (const [text, shown, y] of [[name, node.name, node.small ? 13 : 19], [detail, node.detail, node.small ? 26 : 35]]) {
    setAttribute(text, "x", 12);
    setAttribute(text, "y", y);
    setText(text, shown);
  }
}

/** For narrow pages and screen readers: each feed, then what each projection reads and how far. */
function tellAsList(list, { columns, edges }) {
  const [, feeds] = columns[0];
  const [, projections] = columns[2];
  const lines = [
    ...feeds.map((feed) => ({ id: feed.id, tone: feed.tone, head: feed.name, text: `${feed.detail}, ${rate(feed.rate)} into ${feed.topics.join(" and ")}` })),
    ...projections.map((one) => ({
      id: one.id,
      tone: one.tone,
      head: one.name,
      text: edges.filter((edge) => edge.to === one.id).map((edge) => `${edge.from}: ${edge.told}`).join("; "),
    })),
  ];
  reconcile(list, lines, (line) => line.id,
    () => h("li", {}, h("strong"), " ", h("span")),
    (item, line) => {
      setAttribute(item, "data-tone", line.tone);
      setText(item.children[0], line.head);
      setText(item.children[1], line.text);
    });
}
