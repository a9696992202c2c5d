// The page: its frame, its views by hash (#/lag), and the stream that feeds them.

import { h, setAttribute, setText } from "./dom.js";
import { LEVELS, SIGNS, eastern, utc, zoneName } from "./format.js";
import { Stream } from "./stream.js";

const VIEWS = [
  ["", "Overview", "overview"],
  ["lag", "Lag", "lag"],
  ["trades", "Trades", "trades"],
  ["account", "Account", "account"],
  ["prices", "Prices", "prices"],
  ["book", "Book", "book"],
  ["dead-letters", "Dead letters", "dead_letters"],
  ["rebuilds", "Rebuilds", "rebuilds"],
  ["system", "System", "system"],
];
const THEMES = [[null, "Theme: system"], ["light", "Theme: light"], ["dark", "Theme: dark"]];

const main = document.getElementById("main");
const about = { actions: false };
let shown = null;

const stream = new Stream({
  onpicture: (picture) => {
    announce(picture);
    shown?.update?.(picture);
    tellConnection();
  },
  onstate: tellConnection,
  onabout: (told) => {
    Object.assign(about, told);
    if (!import.meta.url.includes(`/static/${told.version}/`)) tellOfANewerPage();
    shown?.about?.(about);
  },
});

function tellConnection() {
  const text = document.getElementById("connection-text");
  const taken = stream.picture?.taken;
  setAttribute(document.getElementById("connection"), "data-state", stream.state);
  setAttribute(text, "title", utc(taken));
  const values = taken ? `, values of ${eastern(taken)}` : "";
  const words = {
    connecting: "connecting",
    live: `live, ${eastern(taken)} ${zoneName()}`,
    reconnecting: `reconnecting${values}`,
    paused: `paused${values}`,
  };
  setText(text, words[stream.state]);
}

/** Said to screen readers when incidents come or go, not when a number in one of them moves. */
function announce(picture) {
  const open = Object.entries(picture.incidents ?? {}).filter(([, one]) => !one.closed);
  const known = `${picture.level ?? 0} ${open.map(([id]) => id).sort().join(" ")}`;
  if (announce.known === known) return;
  announce.known = known;
  const titles = open.map(([, one]) => one.title).join("; ");
  const level = LEVELS[picture.level ?? 0];
  setText(
    document.getElementById("announcement"),
    titles ? `${level}: ${titles}` : "All is fresh, nothing is behind.",
  );
  document.title = level === "ok" ? "tickertape" : `${SIGNS[level]} ${level} · tickertape`;
}

function tellOfANewerPage() {
  const notice = document.getElementById("notice");
  notice.replaceChildren(
    "Another version of the console is running now. ",
    h("button", { type: "button", on: { click: () => location.reload() } }, "Reload the page"),
  );
  notice.hidden = false;
}

async function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const [path, title, module] = VIEWS.find(([one]) => one === name) ?? VIEWS[0];
  for (const link of document.querySelectorAll("#views a")) {
    const isHere = link.dataset.path === path;
    setAttribute(link, "aria-current", isHere ? "page" : null);
    if (isHere) link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  const wanted = Symbol(path);
  route.wanted = wanted;
  let view;
  try {
    view = await import(`./views/${module}.js`);
  } catch (error) {
    main.replaceChildren(h("p", { class: "trouble" }, `This view could not be loaded: ${error.message}`));
    return;
  }
  if (route.wanted !== wanted) return;
  shown?.close?.();
  main.replaceChildren();
  setAttribute(main, "aria-label", title);
  shown = view.show(main, { about, rest: rest.map(decodeURIComponent) });
  if (stream.picture) shown?.update?.(stream.picture);
  if (route.isNavigation) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  route.isNavigation = true;
}

function addViews() {
  document.getElementById("views").append(
    ...VIEWS.map(([path, title]) => h("li", {}, h("a", { href: `#/${path}`, "data-path": path }, title))),
  );
}

function addTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const at = () => Math.max(0, THEMES.findIndex(([theme]) => theme === (root.dataset.theme ?? null)));
  const tell = () => setText(button.querySelector(".words"), THEMES[at()][1]);
  button.addEventListener("click", () => {
    const [theme] = THEMES[(at() + 1) % THEMES.length];
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    try {
      if (theme) localStorage.setItem("theme", theme);
      else localStorage.removeItem("theme");
    } catch {
      // Then it holds for this page only.
    }
    tell();
    dispatchEvent(new Event("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
  tell();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
addViews();
addTheme();
route();
stream.follow();
