// At a glance: is everything fresh, what is behind, since when, why.

import { card, h, reconcile, setAttribute, setText } from "../dom.js";
import { LEVELS, SIGNS, count, duration, eastern, rate, short, utc } from "../format.js";
import { topology } from "../topology.js";

const MOST_CLOSED = 3;

export function show(root) {
  const headline = headlineCard();
  const figures = figuresStrip();
  const incidents = h("ul", { class: "incidents" });
  const incidentsCard = card("Incidents", incidents);
  const drawing = topology();
  const board = h("ul", { class: "board" });
  const freshness = card(
    "Freshness",
    h("p", { class: "muted" }, "The age of each source's newest event, by its own time."),
    board,
  );
  root.append(
    headline.element,
    figures.element,
    h("div", { class: "pair" }, incidentsCard, freshness),
    card("From venues to tables", drawing.element),
  );
  return {
    update(picture) {
      headline.update(picture);
      figures.update(picture);
      updateIncidents(incidentsCard, incidents, picture);
      updateBoard(board, picture);
      drawing.update(picture);
    },
  };
}

function headlineCard() {
  const sign = h("span", { class: "sign", "aria-hidden": "true" });
  const title = h("h1", {});
  const detail = h("p", {});
  const element = h("section", { class: "headline" }, sign, h("div", {}, title, detail));
  return {
    element,
    update(picture) {
      const { level, text, more, time } = verdict(picture);
      setAttribute(element, "data-tone", level);
      setText(sign, SIGNS[level]);
      setText(title, text);
      setText(detail, more);
      setAttribute(detail, "title", utc(time));
    },
  };
}

/** The worst of what is wrong, or that nothing is. Pure. */
export function verdict(picture) {
  const open = openIncidents(picture);
  const away = Object.values(picture.sources ?? {}).filter((one) => !one.is_up);
  const level = LEVELS[picture.level ?? 0];
  if (open.length) {
    const [worst, ...others] = open;
    const rest = others.length ? ` · ${others.length} more` : "";
    const since = `since ${eastern(worst.opened)}, for ${duration((picture.taken - worst.opened) / 1e6)}`;
    return { level: LEVELS[worst.level], text: worst.title, more: `${since}${rest}`, time: worst.opened };
  }
  if (away.length) {
    const [one] = away;
    return {
      level: "critical",
      text: `The ${away.map((source) => source.name).join(" and the ")} cannot be read`,
      more: `values of ${eastern(one.read)}${one.error ? `: ${one.error}` : ""}`,
      time: one.read,
    };
  }
  if (level !== "ok") return { level, text: "Something is behind", more: "no incident is open yet" };
  const closed = closedIncidents(picture)[0];
  const more = closed ? `last incident: ${closed.title}, over at ${eastern(closed.closed)}` : "no incident";
  return { level, text: "All is fresh, nothing is behind", more, time: closed?.closed };
}

function openIncidents(picture) {
  return Object.values(picture.incidents ?? {})
    .filter((one) => !one.closed)
    .sort((a, b) => b.level - a.level || a.opened - b.opened);
}

function closedIncidents(picture) {
  return Object.values(picture.incidents ?? {})
    .filter((one) => one.closed)
    .sort((a, b) => b.closed - a.closed);
}

function figuresStrip() {
  const element = h("dl", { class: "figures" });
  return {
    element,
    update(picture) {
      reconcile(element, figuresOf(picture), (one) => one.name,
        () => h("div", {}, h("dt"), h("dd", {}, h("strong"), h("span", { class: "sub" }))),
        (item, one) => {
          setAttribute(item, "data-tone", one.tone);
          setText(item.children[0], one.name);
          setText(item.children[1].children[0], one.value);
          setText(item.children[1].children[1], one.more);
        });
    },
  };
}

function figuresOf(picture) {
  const ours = Object.values(picture.groups ?? {}).filter((group) => group.projection);
  const arriving = Object.values(picture.topics ?? {}).reduce((sum, one) => sum + (one.rate ?? 0), 0);
  const waiting = ours.reduce((sum, group) => sum + group.lag, 0);
  const worst = ours.reduce((most, group) => Math.max(most, group.lag_s ?? 0), 0);
  const sources = Object.values(picture.freshness ?? {}).filter((one) => one.is_open);
  const fresh = sources.filter((one) => one.level === 0);
  const letters = Object.values(picture.dead_letters ?? {}).reduce((sum, one) => sum + one.waiting, 0);
  const marks = Object.values(picture.accounts ?? {});
  const active = marks.reduce((sum, one) => sum + one.active_trades, 0);
  const stale = marks.reduce((sum, one) => sum + one.stale_marks, 0);
  return [
    { name: "Arriving", value: rate(arriving), more: "records, all topics" },
    { name: "Waiting", value: short(waiting), more: "records, our projections", tone: worst >= 5 ? "warning" : null },
    { name: "Behind", value: duration(worst), more: "oldest that waits", tone: worst >= 5 ? "warning" : null },
    { name: "Fresh", value: `${fresh.length} of ${sources.length}`, more: "sources in their hours", tone: fresh.length < sources.length ? "warning" : null },
    { name: "Active trades", value: count(active), more: stale ? `${stale} with a stale mark` : "marks fresh", tone: stale ? "warning" : null },
    { name: "Dead letters", value: count(letters), more: "wait", tone: letters ? "warning" : null },
  ];
}

function updateIncidents(section, list, picture) {
  const all = [...openIncidents(picture), ...closedIncidents(picture).slice(0, MOST_CLOSED)];
  section.hidden = all.length === 0;
  reconcile(list, all, (one) => one.id,
    () => h("li", {}, h("h3", {}, h("span", { class: "sign" }), " ", h("span")), h("p", { class: "muted" }), h("ul")),
    (item, one) => {
      const [title, when, symptoms] = item.children;
      const level = LEVELS[one.level];
      setAttribute(item, "data-tone", one.closed ? "over" : level);
      setText(title.children[0], one.closed ? "✓ over" : `${SIGNS[level]} ${level}`);
      setText(title.children[1], one.title);
      setText(when, lasting(one, picture.taken));
      setAttribute(when, "title", utc(one.opened));
      const told = one.closed ? [] : Object.values(one.symptoms ?? {});
      reconcile(symptoms, told.map((text, at) => ({ text, at })), (symptom) => symptom.at,
        () => h("li"), (node, symptom) => setText(node, symptom.text));
    });
}

function lasting(incident, now) {
  if (incident.closed) {
    return `${eastern(incident.opened)} to ${eastern(incident.closed)}, ${duration((incident.closed - incident.opened) / 1e6)}`;
  }
  return `since ${eastern(incident.opened)}, for ${duration((now - incident.opened) / 1e6)}`;
}

function updateBoard(list, picture) {
  const sources = Object.values(picture.freshness ?? {}).sort(
    (a, b) => b.level - a.level || a.topic.localeCompare(b.topic) || a.source.localeCompare(b.source),
  );
  reconcile(list, sources, (one) => `${one.topic} ${one.source}`,
    () => h("li", {}, h("div", {}, h("strong"), h("span", { class: "sub" })), h("span", { class: "age" }), h("span", { class: "state" })),
    (item, one) => {
      const tone = one.is_open ? LEVELS[one.level] : "none";
      const [what, age, state] = item.children;
      setAttribute(item, "data-tone", tone);
      setText(what.children[0], one.source);
      setText(what.children[1], one.topic);
      setText(age, duration(one.age_s));
      setText(state, one.is_open ? `${SIGNS[tone]} ${freshnessWord(one)}` : `${SIGNS.none} out of hours`);
      setAttribute(item, "title", `newest ${utc(one.newest)}; warns after ${duration(one.warn_s)}, stale after ${duration(one.stale_s)}, critical after ${duration(one.critical_s)}`);
    });
}

function freshnessWord(one) {
  if (one.age_s >= one.critical_s) return "critical";
  if (one.age_s >= one.stale_s) return "stale";
  return one.level > 0 ? "late" : "fresh";
}
