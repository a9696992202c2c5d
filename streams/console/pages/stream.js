// The stream of pictures: a snapshot, then what changed each second (JSON Merge Patch, RFC 7396).

const FIRST_RETRY = 250;
const LONGEST_RETRY = 1500;
// The server says something at least every ten seconds.
const SILENCE = 25_000;
const FAILURES_BEFORE_A_LOOK = 3;

/** Makes `target` what it becomes by the patch. */
export function merge(target, patch) {
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete target[name];
    else if (isObject(value) && isObject(target[name])) merge(target[name], value);
    else target[name] = value;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Keeps `picture` (null at first) as the server has it, and `state`: connecting, live,
 * reconnecting or paused. `onpicture` is called for each picture, `onstate` for each state,
 * `onabout` for what the server says of itself. A hidden tab has no connection, because a browser
 * has only six for each host.
 */
export class Stream {
  constructor({ onpicture, onstate, onabout }) {
    this.picture = null;
    this.state = "connecting";
    this.tell = { onpicture, onstate, onabout };
    this.failures = 0;
    this.number = 0;
    document.addEventListener("visibilitychange", () => this.follow());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.follow());
    addEventListener("online", () => this.retryNow());
  }

  follow() {
    if (document.hidden) {
      this.close();
      this.turn("paused");
    } else if (!this.source) {
      this.open();
    }
  }

  open() {
    this.close();
    if (this.state !== "reconnecting") this.turn(this.picture ? "reconnecting" : "connecting");
    const source = new EventSource("/events");
    this.source = source;
    const on = (name, take) =>
      source.addEventListener(name, (event) => {
        this.failures = 0;
        this.expectMore();
        take(event.data ? JSON.parse(event.data) : null, Number(event.lastEventId));
      });
    on("about", (about) => this.tell.onabout(about));
    on("snapshot", (picture, number) => this.take(picture, number));
    on("delta", (patch, number) => {
      if (number !== this.number + 1) {
        this.open();
        return;
      }
      merge(this.picture, patch);
      this.take(this.picture, number);
    });
    on("quiet", () => {});
    source.addEventListener("error", () => this.fail());
    this.expectMore();
  }

  take(picture, number) {
    this.picture = picture;
    this.number = number;
    this.turn("live");
    this.tell.onpicture(picture);
  }

  fail() {
    this.close();
    this.failures += 1;
    this.turn("reconnecting");
    if (this.failures === FAILURES_BEFORE_A_LOOK) this.look();
    const wait = Math.min(FIRST_RETRY * 2 ** (this.failures - 1), LONGEST_RETRY);
    this.timer = setTimeout(() => this.open(), wait);
  }

  retryNow() {
    if (this.state === "reconnecting") this.open();
  }

  /** An EventSource does not tell why it failed: the server may ask for its token again. */
  async look() {
    try {
      const reply = await fetch("/", { cache: "no-store" });
      if (reply.status === 401) location.reload();
    } catch {
      // It is away; the next attempts will tell.
    }
  }

  expectMore() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.fail(), SILENCE);
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.source?.close();
    this.source = null;
  }

  turn(state) {
    if (state === this.state) return;
    this.state = state;
    this.tell.onstate(state);
  }
}
