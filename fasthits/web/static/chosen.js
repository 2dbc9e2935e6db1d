// What is chosen now. It lives in the address after #, so that links, bookmarks and the back button work.
import { pageName, day, readable } from "./text.js";

const PRESETS = ["7", "30", "90", "365", "all"];
const SORTS = ["views", "rise", "not-found"];
const DAY = /^\d{4}-\d\d-\d\d$/;

/** The choice: a path or a prefix or neither, a host or null, days or from and to, static files or not, and what the list of past days shows. */
export function chosen() {
  const given = new URLSearchParams(location.hash.slice(1));
  const [from, to] = [given.get("from"), given.get("to")];
  const range = DAY.test(from) && DAY.test(to) && from <= to;
  const path = given.get("path");
  return {
    path,
    prefix: path === null ? given.get("prefix") : null,
    host: given.get("host"),
    days: range ? null : PRESETS.find((days) => days === given.get("days")) ?? "30",
    from: range ? from : null,
    to: range ? to : null,
    files: given.get("files") === "1",
    sort: SORTS.find((sort) => sort === given.get("sort")) ?? "views",
  };
}

/** Choose something else; what is not named stays. A path replaces a prefix, days replace from and to, and the reverse. */
export function choose(changes) {
  const choice = { ...chosen(), ...changes };
  if (changes.path) choice.prefix = null;
  if (changes.prefix) choice.path = null;
  if (changes.days) choice.from = choice.to = null;
  if (changes.from) choice.days = null;
  if (choice.sort === "views") choice.sort = null;
  location.hash = query({ ...choice, files: choice.files ? "1" : null });
}

/** Call *show* with the choice now, and whenever it changes. */
export function onChoice(show) {
  addEventListener("hashchange", () => show(chosen()));
  show(chosen());
}

/** The parameters of a request for the choice: its days, its host, and whether static files are left out. */
export function asked({ days, from, to, host, files }, more = {}) {
  return query({ ...(days ? { days } : { from, to }), host, pages: files ? null : "1", ...more });
}

/** The name of what is chosen. */
export function subject({ path, prefix, host, files }) {
  if (path !== null) return pageName(path);
  if (prefix !== null) return `${readable(prefix)}*`;
  return `${files ? "All pages and files" : "All pages"}${host === null ? "" : ` of ${readable(host)}`}`;
}

/** When: the days that are chosen, in words. */
export function when({ days, from, to }) {
  if (days) return days === "all" ? "on all days" : `in ${days} days`;
  return from === to ? `on ${day(from)}` : `from ${day(from)} to ${day(to)}`;
}

function query(parameters) {
  return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null)).toString();
}
