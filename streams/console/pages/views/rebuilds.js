// Generations that are being built beside the current ones.

import { card, h, reconcile, setAttribute, setText } from "../dom.js";
import { count, duration, eastern } from "../format.js";

export function show(root) {
  const none = h("p", { class: "muted" }, "No rebuild is under way. `tape rebuild` makes a projection's tables anew from the log.");
  const list = h("ul", { class: "incidents" });
  root.append(h("h1", {}, "Rebuilds"), card("Under way", none, list));
  return {
    update(picture) {
      const all = Object.values(picture.building ?? {});
      none.hidden = all.length > 0;
      reconcile(list, all, (one) => `${one.projection}_${one.generation}`, makeRow, (row, one) => updateRow(row, one, picture.taken));
    },
  };
}

function makeRow(one) {
  const name = `${one.projection}, generation ${one.generation}`;
  return h("li", {}, h("h3", {}, name), h("p", { class: "muted" }), h("progress", { "aria-label": `Progress of ${name}` }));
}

function updateRow(row, one, now) {
  const [, text, bar] = row.children;
  const elapsed = (now - one.created) / 1e6;
  const share = one.total ? one.done / one.total : 0;
  const left = share > 0 && share < 1 ? `, about ${duration((elapsed / share) * (1 - share))} left` : "";
  setText(text, `${one.purpose}, since ${eastern(one.created)}: ${count(one.done)} of ${count(one.total)} records, ${(share * 100).toFixed(1)} %${left}`);
  setAttribute(bar, "max", one.total || 1);
  setAttribute(bar, "value", one.done);
}
