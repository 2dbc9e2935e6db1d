// Numbers, days and paths for people to read. The page shows all of this as text, never as markup.

const COUNTS = new Intl.NumberFormat("en");
const RATES = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;
const MUCH_MORE = 10;

export const UNKNOWN = "–";

export const count = (number) => number === null || number === undefined ? UNKNOWN : COUNTS.format(number);
export const rate = (number) => number === null ? UNKNOWN : RATES.format(number);
export const compact = (number) => COMPACT.format(number);

/** Days are texts such as 2026-11-25 everywhere but on the page. */
export const addDays = (day, number) => new Date(Date.parse(day) + number * DAY_MS).toISOString().slice(0, 10);
export const daysBetween = (first, last) => Math.round((Date.parse(last) - Date.parse(first)) / DAY_MS);
export const weekday = (day) => new Date(day).getUTCDay();

export const shortDay = (day) => `${Number(day.slice(8))} ${MONTHS[Number(day.slice(5, 7)) - 1]}`;
export const month = (day) => `${MONTHS[Number(day.slice(5, 7)) - 1]} ${day.slice(0, 4)}`;
export const day = (text) => `${shortDay(text)} ${text.slice(0, 4)}`;
export const weekdayAndDay = (text) => `${WEEKDAYS[weekday(text)]} ${day(text)}`;
export const some = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

export const share = (part) => part > 0 && part < 0.001 ? "<0.1 %" : `${(100 * part).toFixed(1)} %`;

/** How long ago, in the largest unit that fits. */
export function age(seconds) {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : some(Math.floor(seconds / 3600), "hour");
}

/** How *now* compares with *before*: a direction, a short text, and words for a screen reader; null if unknown. */
export function change(now, before) {
  if (now === null || before === null || before === undefined) return null;
  if (!before) return now ? { way: "up", text: "new", words: "none before" } : null;
  const part = now / before - 1;
  const percent = Math.abs(Math.round(100 * part));
  if (percent === 0) return { way: "same", text: "=", words: "as many as before" };
  if (part >= MUCH_MORE) return { way: "up", text: `▲ ×${count(Math.round(part + 1))}`, words: `${count(Math.round(part + 1))} times as many as before` };
  return part > 0 ? { way: "up", text: `▲ ${percent} %`, words: `${percent} % more than before` }
    : { way: "down", text: `▼ ${percent} %`, words: `${percent} % less than before` };
}

/** A path with percent-encoded UTF-8 decoded, and with escapes for what is invisible or would reverse the text. */
export function readable(path) {
  return path.replace(/(?:%[89A-F][0-9A-F])+/gi, decoded).replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (char) => {
    const code = char.codePointAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function decoded(escapes) {
  try {
    return decodeURIComponent(escapes);
  } catch { // not UTF-8
    return escapes;
  }
}

/** The name of a page: its path. Of a path too long for a counter's key only the hash is known. */
export const pageName = (path) => path.startsWith("#") ? `a long or unusual path (${path})` : readable(path);
