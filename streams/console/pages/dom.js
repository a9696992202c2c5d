// Elements without a framework. Text is set as text, never as markup: records hold anyone's bytes.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name, `on` for listeners; children are nodes or text, null is none. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets the text only where it differs: an unchanged node keeps selection and costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute only where it differs; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === "") {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

/** Makes the children of a node those of these items, in this order; those that stay are kept. */
export function reconcile(parent, items, keyOf, make, update) {
  parent.kept ??= new Map();
  const gone = new Map(parent.kept);
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = gone.get(key);
    gone.delete(key);
    if (!node) {
      node = make(item);
      parent.kept.set(key, node);
    }
    update(node, item);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of gone) {
    parent.kept.delete(key);
    node.remove();
  }
}

/**
 * A table of rows. A column is {name, cell, numeric, wide}: `cell` gives for a row a text or
 * {text, title, sub, href, tone, strong}; `wide` columns show only where there is room.
 */
export function table({ caption, columns, key, empty, showCaption = true, rowHeader = 0 }) {
  const body = h("tbody");
  const nothing = h("p", { class: "muted nothing", hidden: true }, empty ?? "None.");
  const inner = h(
    "table",
    {},
    h("caption", { class: showCaption ? null : "unseen" }, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        columns.map((one) => h("th", { scope: "col", class: classes(one) }, one.name)),
      ),
    ),
    body,
  );
  const element = h("div", { class: "table" }, scrolling(inner, caption), nothing);
  const update = (rows) => {
    reconcile(body, rows, key, () => row(columns, rowHeader), (node, item) => {
      columns.forEach((column, at) => fillCell(node.children[at], column.cell(item)));
      setAttribute(node, "data-tone", columns.tone?.(item));
    });
    nothing.hidden = rows.length > 0;
    inner.hidden = rows.length === 0;
  };
  update([]);
  return { element, update };
}

function row(columns, rowHeader) {
  const cells = columns.map((one, at) =>
    at === rowHeader
      ? h("th", { scope: "row", class: classes(one) })
      : h("td", { class: classes(one) }),
  );
  return h("tr", {}, cells);
}

function classes(column) {
  const all = [column.numeric && "number", column.wide && "wide"].filter(Boolean);
  return all.join(" ") || null;
}

function fillCell(cell, value) {
  const given = typeof value === "object" && value !== null ? value : { text: value };
  const known = JSON.stringify(given);
  if (cell.known === known) return;
  cell.known = known;
  setAttribute(cell, "title", given.title);
  setAttribute(cell, "data-tone", given.tone);
  const text = given.text ?? "–";
  const main = given.href
    ? h("a", { href: given.href }, text)
    : given.strong
      ? h("strong", {}, text)
      : text;
  cell.replaceChildren(main, ...(given.sub ? [h("span", { class: "sub" }, given.sub)] : []));
}

/** What may be wider than the page scrolls by itself, by keyboard too. */
export function scrolling(content, label) {
  const box = h("div", { class: "scroll" }, content);
  const look = () => {
    const overflows = box.scrollWidth > box.clientWidth + 1;
    setAttribute(box, "tabindex", overflows ? "0" : null);
    setAttribute(box, "role", overflows ? "region" : null);
    setAttribute(box, "aria-label", overflows ? label : null);
  };
  const watching = new ResizeObserver(look);
  watching.observe(box);
  watching.observe(content);
  return box;
}

/** A card with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

/** A choice of a few, with a visible label. */
export function select(label, options, chosen, onchange) {
  const id = `select-${label.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  const list = h(
    "select",
    { id, on: { change: () => onchange(list.value) } },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
  return h("div", { class: "field" }, h("label", { for: id }, label), list);
}
