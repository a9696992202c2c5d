// Records that a projection could not use, with the reason; tried again, or given up.

import { card, h, select, table } from "../dom.js";
import { count, eastern, timeCell } from "../format.js";
import { Remote, address, read, segment } from "../remote.js";

const WHAT = { frame: "a frame that could not be read", record: "a record that was refused" };

export function show(root, { about, rest }) {
  return rest.length === 3 ? showLetter(root, about, rest) : showLetters(root);
}

const placeOf = (one) => `${one.topic}[${one.partition}]@${one.offset}`;
const pathOf = (one) => [one.topic, one.partition, one.offset].map(segment).join("/");

function showLetters(root) {
  const wanted = { done: "", projection: "", limit: 200 };
  const letters = letterTable();
  const reasons = reasonTable();
  const told = h("p", { class: "muted" });
  const remote = new Remote({
    path: () => address("/api/dead-letters", wanted),
    every: 5000,
    take: (found) => {
      letters.update(found.letters);
      told.textContent = `${count(found.frames + found.records)} wait, ${count(found.done)} are done with.`;
    },
  });
  const choose = (name, value) => {
    wanted[name] = value;
    remote.refresh();
  };
  const projections = h("div", {});
  const offer = (picture) => {
    const names = Object.values(picture.groups ?? {}).map((group) => group.projection).filter(Boolean).sort();
    const known = names.join();
    if (projections.known === known) return;
    projections.known = known;
    projections.replaceChildren(
      select("Projection", [["", "all"], ...names.map((one) => [one, one])], wanted.projection, (chosen) => choose("projection", chosen)),
    );
  };
  root.append(
    h("h1", {}, "Dead letters"),
    h("section", { class: "card" }, reasons.element),
    card(
      "Letters",
      h(
        "div",
        { class: "controls" },
        projections,
        select("Those", [["", "that wait"], ["true", "that are done too"]], "", (chosen) => choose("done", chosen)),
      ),
      remote.element,
      letters.element,
      told,
    ),
  );
  remote.refresh();
  return {
    update(picture) {
      reasons.update(Object.values(picture.dead_letters ?? {}).sort((a, b) => b.waiting - a.waiting));
      offer(picture);
    },
    close: () => remote.close(),
  };
}

function reasonTable() {
  return table({
    caption: "What waits, by reason",
    key: (one) => `${one.projection} ${one.error}`,
    empty: "No dead letter waits.",
    columns: [
      { name: "Reason", cell: (one) => one.error },
      { name: "Projection", cell: (one) => one.projection },
      { name: "Wait", numeric: true, cell: (one) => count(one.waiting) },
      { name: "Newest", wide: true, cell: (one) => timeCell(one.newest) },
    ],
  });
}

function letterTable() {
  return table({
    caption: "Dead letters, newest first",
    showCaption: false,
    key: (one) => `${one.projection} ${placeOf(one)}`,
    empty: "None.",
    columns: [
      { name: "Record", cell: (one) => ({ text: placeOf(one), href: `#/dead-letters/${pathOf(one)}`, sub: `by ${one.projection}` }) },
      { name: "Reason", cell: (one) => one.last_error ?? one.error },
      { name: "Appended", wide: true, cell: (one) => timeCell(one.appended) },
      { name: "Tries", numeric: true, wide: true, cell: (one) => count(one.tries) },
      { name: "Now", cell: (one) => one.outcome ?? "waits" },
    ],
  });
}

function showLetter(root, about, rest) {
  const [topic, partition, offset] = rest;
  const place = pathOf({ topic, partition, offset });
  const found = h("div", { class: "letter" });
  const deed = deedForm(place, () => remote.refresh());
  const remote = new Remote({
    path: () => `/api/dead-letters/${place}`,
    take: ({ letters }) => {
      found.replaceChildren(...letters.map(letterCard));
      deed.offer(about, letters.some((one) => one.done === null));
    },
  });
  root.append(
    h("p", {}, h("a", { href: "#/dead-letters" }, "← All dead letters")),
    h("h1", {}, `${topic}[${partition}]@${offset}`),
    remote.element,
    found,
    deed.element,
  );
  remote.refresh();
  return { close: () => remote.close() };
}

function letterCard(one) {
  const facts = [
    ["What", WHAT[one.what]],
    ["Refused by", `${one.projection}, ${eastern(one.refused)}`],
    ["Appended", eastern(one.appended)],
    ["Key", one.key ?? "none"],
    ["Tried again", one.tries ? `${count(one.tries)} times, last ${eastern(one.tried)}` : "never"],
    ["Now", one.done ? `${one.outcome}, ${eastern(one.done)}` : "waits"],
  ];
  return h(
    "section",
    { class: "card letter" },
    h("h2", {}, one.last_error ?? one.error),
    one.last_error && one.last_error !== one.error ? h("p", { class: "muted" }, `at first: ${one.error}`) : null,
    h("dl", { class: "facts" }, facts.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))),
    one.frame ? bytesOf("Frame, as it came", one.frame) : null,
    bytesOf("Value", one.value),
    h("div", {}, h("h3", {}, "Headers"), h("pre", { class: "bytes", tabindex: "0", "aria-label": "Headers" }, one.headers.map(headerText).join("\n"))),
  );
}

function headerText(header) {
  const name = header.name ?? `${header.name_base64} (base64)`;
  const value = header.value ?? (header.value_base64 ? `${header.value_base64} (base64)` : "null");
  return `${name}: ${value}`;
}

function bytesOf(name, { kind, text, size, cut }) {
  const about = kind === "null" ? "null" : `${count(size)} bytes${kind === "base64" ? ", in base64" : ""}${cut ? `, ${count(cut)} more characters` : ""}`;
  return h("div", {}, h("h3", {}, `${name}: ${about}`), kind === "null" ? null : h("pre", { class: "bytes", tabindex: "0", "aria-label": name }, text));
}

/** Retry and discard, where this console may; each asks why. */
function deedForm(place, done) {
  const why = h("textarea", { id: "why", rows: 2, maxlength: 2000, required: true });
  const result = h("p", { role: "status" });
  const buttons = ["retry", "discard"].map((name) =>
    h("button", { type: "button", on: { click: () => act(name) } }, name === "retry" ? "Try again" : "Discard"),
  );
  const form = h("div", { class: "deed" }, h("label", { for: "why" }, "Why, kept with the decision"), why, h("div", { class: "choice" }, buttons), result);
  const note = h("p", { class: "muted" }, "This console only reads: start it with --allow-actions to retry and discard here, or use `tape dlq`.");
  const element = h("section", { class: "card" }, note, form);

  async function act(name) {
    if (!why.reportValidity()) return;
    for (const button of buttons) button.disabled = true;
    result.textContent = "At work…";
    try {
      const told = await read(`/api/dead-letters/${place}/${name}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ why: why.value }),
      });
      result.textContent = resultText(told);
      done();
    } catch (error) {
      result.textContent = `■ ${error.message}`;
    }
    for (const button of buttons) button.disabled = false;
  }

  element.hidden = true;
  return {
    element,
    offer(about, waits) {
      element.hidden = false;
      note.hidden = about.actions;
      form.hidden = !about.actions;
      for (const button of buttons) button.disabled = !waits;
      if (!waits && !result.textContent) result.textContent = "It is done with.";
    },
  };
}

function resultText(told) {
  const sent = told.sent ? "" : " The decision is sent to the log later.";
  if (told.discarded !== undefined) return `${told.discarded ? "● Discarded; its bytes are kept." : "It did not wait any more."}${sent}`;
  const parts = [
    told.read ? "● read: what it says is in the log" : null,
    told.projected ? "● projected: it is in the tables" : null,
    ...told.left.map((reason) => `○ left: ${reason}`),
    ...told.failed.map((reason) => `■ refused again: ${reason}`),
  ].filter(Boolean);
  return `${parts.join("; ") || "It did not wait any more."}${parts.length ? "." : ""}${sent}`;
}
