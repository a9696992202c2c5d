// Numbers and times for people. Times are Eastern: display is the only place for that.

const EASTERN = "America/New_York";
const clock = new Intl.DateTimeFormat("en-US", {
  timeZone: EASTERN, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const day = new Intl.DateTimeFormat("en-US", { timeZone: EASTERN, month: "short", day: "numeric" });
const year = new Intl.DateTimeFormat("en-US", { timeZone: EASTERN, year: "numeric" });
const zone = new Intl.DateTimeFormat("en-US", { timeZone: EASTERN, timeZoneName: "short" });
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const NONE = "–";

/** A Date of microseconds since 1970 UTC, or of ISO 8601; null where there is none. */
export function dateOf(time) {
  if (time === null || time === undefined) return null;
  return new Date(typeof time === "number" ? time / 1000 : time);
}

/** `18:02:11`, of another day `Nov 29, 18:02:11`, of another year with that. */
export function eastern(time) {
  const date = dateOf(time);
  if (!date) return NONE;
  const now = new Date();
  if (day.format(date) === day.format(now) && year.format(date) === year.format(now)) {
    return clock.format(date);
  }
  const others = year.format(date) === year.format(now) ? "" : ` ${year.format(date)}`;
  return `${day.format(date)}${others}, ${clock.format(date)}`;
}

/** The name of the time zone as it is now: `EST`. */
export function zoneName() {
  return zone.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
}

/** For a title: the same moment in UTC. */
export function utc(time) {
  const date = dateOf(time);
  return date ? `${date.toISOString().replace("T", " ").replace(/\.000Z$/, "Z").replace("Z", "")} UTC` : null;
}

/** A cell of a table for a time. */
export function timeCell(time) {
  return { text: eastern(time), title: utc(time) };
}

/** Seconds: `0.4 s`, `41 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (size < 10) return `${sign}${size.toFixed(1)} s`;
  if (size < 60) return `${sign}${Math.round(size)} s`;
  const steps = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = steps.findIndex(([, length]) => size >= length);
  const [big, length] = steps[first];
  const [small, rest] = steps[first + 1];
  const count = Math.floor(size / length);
  const more = Math.floor((size % length) / rest);
  return `${sign}${count} ${big}${more ? ` ${more} ${small}` : ""}`;
}

/** A whole number with commas. */
export function count(number) {
  return number === null || number === undefined ? NONE : whole.format(number);
}

/** `12.3M`. */
export function short(number) {
  return number === null || number === undefined ? NONE : compact.format(number);
}

/** Per second. */
export function rate(number) {
  if (number === null || number === undefined) return NONE;
  return `${number < 100 ? one.format(number) : whole.format(number)}/s`;
}

/** Bytes in decimal units. */
export function bytes(size) {
  if (size === null || size === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let rest = size;
  while (Math.abs(rest) >= 1000 && at < units.length - 1) {
    rest /= 1000;
    at += 1;
  }
  return `${at === 0 ? rest : rest.toFixed(rest < 10 ? 1 : 0)} ${units[at]}`;
}

/** A share as percent. */
export function percent(share) {
  return share === null || share === undefined ? NONE : `${(share * 100).toFixed(1)} %`;
}

/** An exact decimal, as it came, with commas; no digit is lost by way of a float. */
export function decimal(text) {
  if (text === null || text === undefined) return NONE;
  const [, sign, digits, fraction] = /^([-+]?)(\d*)(\.\d+)?$/.exec(text) ?? [null, "", text, ""];
  return `${sign === "-" ? "−" : ""}${digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",")}${fraction ?? ""}`;
}

/** Dollars: at least two digits after the point. */
export function dollars(text) {
  if (text === null || text === undefined) return NONE;
  const shown = decimal(text);
  const [, fraction = ""] = shown.split(".");
  if (fraction.length >= 2) return shown;
  return fraction ? `${shown}0` : `${shown}.00`;
}

/** Gain or loss: with its sign, and a tone that the sign repeats. */
export function gain(text) {
  if (text === null || text === undefined) return { text: NONE };
  const number = Number(text);
  const shown = dollars(text);
  if (number > 0) return { text: `+${shown}`, tone: "gain" };
  return number < 0 ? { text: shown, tone: "loss" } : { text: shown };
}

export const LEVELS = ["ok", "warning", "critical"];
export const SIGNS = { ok: "●", warning: "▲", critical: "■", none: "○" };

/** `● ok`: a state by sign and word, not by colour alone. */
export function levelText(level) {
  return `${SIGNS[level]} ${level}`;
}
