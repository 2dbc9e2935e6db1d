// Past days: a chart, its numbers and a table, for all pages, a section or a page.
import { Panel, ask } from "./answers.js";
import { DailyChart, barsOf } from "./charts.js";
import { asked, subject } from "./chosen.js";
import { HourBars } from "./hours.js";
import { addDays, change, count, day, daysBetween, month, readable, some } from "./text.js";

const DAYS_AS_BARS = 119;
const LATE_DAYS_SHOWN = 7;
const TODAY_EACH_MS = 5000;
const NAMED_RUNS = 3;
const element = (id) => document.getElementById(id);

export class Past {
  #choose;
  #chart;
  #hours = new HourBars(element("day-hours"));
  #panel = new Panel(element("past"), (answer) => this.#draw(answer), (message) => this.#fail(message));
  #hoursPanel = new Panel(element("by-hour-past"), (answer) => this.#drawHours(answer), () => this.#drawHours({ hours: null }));
  #botsPanel = new Panel(element("bots-box"), (answer) => this.#drawBots(answer), () => this.#drawBots({ kept: false }));
  #choice = null;
  #answer = null;
  #sample = null;
  #today = null;
  #todayAsked = 0;

  constructor(choose) {
    this.#choose = choose;
    this.#chart = new DailyChart(element("chart"), (from, to) => choose({ from, to }));
    element("all-pages").addEventListener("click", () => choose({ path: null, prefix: null }));
    element("dates").addEventListener("submit", (event) => this.#takeDates(event));
    element("months").addEventListener("change", ({ target }) => this.#takeMonth(target.value));
    element("days-table").addEventListener("toggle", () => this.#fillTable());
    element("copy").addEventListener("click", () => this.#copy());
    element("copy").hidden = !navigator.clipboard;
  }

  /** Show what is chosen. */
  show(choice) {
    const { path, prefix } = choice;
    if (path !== this.#choice?.path || choice.host !== this.#choice?.host) {
      this.#today = null;
      this.#todayAsked = 0;
    }
    this.#choice = choice;
    element("subject").textContent = subject(choice);
    element("all-pages").hidden = path === null && prefix === null;
    this.#showCrumbs(path ?? prefix);
    this.#showRaw(path ?? prefix);
    this.#panel.show(`api/history?${asked(choice, { path, prefix, ...(path === null ? {} : { pages: null }) })}`, choice);
    this.#botsPanel.show(`api/bots?${asked(choice, { path, prefix, pages: null })}`, choice);
    const isOneDay = choice.from !== null && choice.from === choice.to;
    element("by-hour-past").hidden = !isOneDay;
    if (isOneDay) this.#hoursPanel.show(`api/hours?${new URLSearchParams({ day: choice.from })}`, choice);
    if (this.#sample) this.take(this.#sample);
  }

  /** Take up a day that is new in the database. */
  refresh() {
    this.#panel.refresh(this.#choice);
    this.#botsPanel.refresh(this.#choice);
  }

  /** Take up today's newest numbers. */
  async take(sample) {
    this.#sample = sample;
    const choice = this.#choice;
    this.#showLink();
    const path = this.#pathToday();
    if (path === undefined) {
      this.#setToday(null, null);
    } else if (path === null) {
      this.#setToday(sample.views, null);
    } else {
      const listed = sample.most_read.find((page) => page.path === path);
      if (listed) {
        this.#setToday(listed.views, null);
      } else if (performance.now() > this.#todayAsked + TODAY_EACH_MS || !this.#todayAsked) {
        this.#todayAsked = performance.now();
        const { views, reason } = await ask(`api/today?${new URLSearchParams({ path })}`)
          .catch((error) => ({ views: null, reason: error.message }));
        if (choice === this.#choice) this.#setToday(views, reason);
      }
    }
  }

  /** The path whose counter of today is asked for; null for all paths, undefined for what no counter knows. */
  #pathToday() {
    const { path, prefix, host } = this.#choice;
    if (prefix !== null || (path === null && host !== null)) return undefined;
    if (path === null || path.startsWith("//")) return path;
    if (host !== null) return `//${host}${path}`;
    const listed = this.#sample.most_read.filter((page) => !page.path.startsWith("#"));
    const isByHost = listed.length > 0 && listed.every((page) => page.path.startsWith("//"));
    return isByHost ? undefined : path; // no counter adds up a path of all hosts
  }

  #setToday(views, reason) {
    element("path-today-box").hidden = typeof this.#pathToday() !== "string";
    element("path-today").textContent = count(views);
    element("path-today-reason").textContent = reason ?? "";
    if (views === this.#today) return;
    this.#today = views;
    if (this.#answer) this.#drawChart(this.#answer);
  }

  #draw(answer) {
    this.#answer = answer;
    const { path, total, kept_days, days, before } = answer;
    if (this.#choice.path?.startsWith("#") && path) { // the database knows the path of the hash
      element("subject").textContent = readable(path);
      this.#showRaw(path);
    }
    const known = kept_days > 0;
    element("answer").hidden = false;
    element("history-problem").hidden = true;
    element("kept-total").textContent = known ? count(total) : "–";
    element("kept-average").textContent = known ? count(Math.round(total / kept_days)) : "–";
    element("kept-best").textContent = bestDay(answer);
    this.#showChange(known && before ? change(total / kept_days, before.total / before.kept_days) : null, before);
    this.#showKept(answer);
    this.#showRange(answer);
    this.#drawChart(answer);
    this.#fillTable();
    this.#showCsv(answer);
    if (!answer.newest) this.#say("The database has no days yet. Run fasthits rollup.");
    element("chart").hidden = days.length === 0;
  }

  #showChange(changed, before) {
    const line = element("range-change");
    line.hidden = !changed;
    if (!changed) return;
    line.dataset.way = changed.way;
    const isAlike = before.kept_days === this.#answer.kept_days;
    line.textContent = `${changed.text}${isAlike ? "" : " per kept day"} against ${span(before.from, before.to)}: ${count(before.total)}`
      + (isAlike ? "" : ` in ${some(before.kept_days, "kept day")}`);
  }

  /** Say which days the numbers are made of. */
  #showKept({ from, to, kept_days, missing, newest }) {
    const line = element("kept");
    line.hidden = !newest;
    if (!newest) return;
    const days = daysBetween(from, to) + 1;
    const texts = [`${span(from, to)}: ${kept_days === days ? some(days, "day") : `${kept_days} of ${some(days, "day")} kept`}.`];
    if (missing.length) {
      texts.push(`Kept up to ${day(newest)}; ${some(missing.length, "day")} ${missing.length === 1 ? "is" : "are"} missing: ${named(missing)}.`);
    }
    line.textContent = texts.join(" ");
    line.toggleAttribute("data-missing", missing.length > 0);
  }

  #showRange({ from, to, oldest, newest }) {
    if (!newest) return;
    [element("from").value, element("to").value] = [from, to];
    for (const id of ["from", "to"]) {
      element(id).min = oldest;
      element(id).max = newest;
    }
    const months = monthsOf(oldest, newest);
    const list = element("months");
    if (list.options.length === months.length + 1) return;
    list.replaceChildren(list.options[0], ...months.map(([value, text]) => new Option(text, value)));
  }

  #takeDates(event) {
    event.preventDefault();
    const [from, to] = [element("from").value, element("to").value].sort();
    if (from) this.#choose({ from, to });
  }

  #takeMonth(value) {
    if (value.length === 4) this.#choose({ from: `${value}-01-01`, to: `${value}-12-31` });
    else if (value) this.#choose({ from: `${value}-01`, to: addDays(`${addDays(`${value}-01`, 31).slice(0, 7)}-01`, -1) });
    element("months").value = "";
  }

  #drawChart(answer) {
    const bars = this.#bars(answer);
    if (!bars.length) return;
    const { from, to, total, days, kept_days } = answer;
    const isWeeks = bars[0].of === 7;
    const unit = `Views per ${isWeeks ? "week" : "day"}`;
    const isPaler = bars.some(({ views, whole }) => views !== null && !whole);
    element("unit").textContent = isPaler ? `${unit}. Paler: ${isWeeks ? "not all seven days" : "today so far"}.` : unit;
    const text = `${unit} from ${day(from)} to ${day(to)}: ${count(total)} in all`;
    const gaps = days.length - kept_days;
    element("chart").setAttribute("aria-label", gaps ? `${text}; ${some(gaps, "day")} not kept` : text);
    this.#chart.show(bars);
  }

  /** The bars of an answer. Today's follows, paler, unless the newest kept day is long ago. */
  #bars({ days, views, newest }) {
    const today = this.#sample?.day;
    const late = lateDays(newest, today);
    const isOn = this.#choice.days && days.length && this.#today !== null && late >= 0 && late <= LATE_DAYS_SHOWN;
    if (!isOn) return barsOf({ days, views }, null, DAYS_AS_BARS);
    const between = Array.from({ length: late }, (_, at) => addDays(newest, at + 1));
    const all = { days: [...days, ...between], views: [...views, ...between.map(() => null)] };
    return barsOf(all, { day: today, views: this.#today }, DAYS_AS_BARS + 1);
  }

  #fillTable() {
    if (!element("days-table").open || !this.#answer) return;
    const { days, views } = this.#answer;
    element("days").replaceChildren(...days.map((name, at) => this.#tableRow(name, views[at])).reverse());
  }

  #tableRow(name, views) {
    const row = document.createElement("tr");
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    const button = head.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = day(name);
    button.addEventListener("click", () => this.#choose({ from: name, to: name }));
    row.appendChild(document.createElement("td")).textContent = views === null ? "not kept" : count(views);
    return row;
  }

  #showCsv({ days, views, from, to }) {
    const link = element("csv");
    link.hidden = !days.length;
    URL.revokeObjectURL(link.href);
    const lines = days.map((name, at) => `${name},${views[at] ?? ""}\n`);
    link.href = URL.createObjectURL(new Blob([`date,views\n${lines.join("")}`], { type: "text/csv" }));
    link.download = `fasthits-${from}-${to}.csv`;
  }

  #showCrumbs(path) {
    const sections = path?.startsWith("/") ? sectionsOf(path) : [];
    element("crumbs").hidden = !sections.length;
    element("crumbs").replaceChildren(...sections.map((prefix) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${readable(prefix)}*`;
      button.addEventListener("click", () => this.#choose({ prefix }));
      return button;
    }));
  }

  #showRaw(path) {
    const isOther = path !== null && readable(path) !== path;
    element("raw").hidden = !isOther;
    element("raw").textContent = isOther ? JSON.stringify(path).slice(1, -1).replace(/[^ -~]/gu, escaped) : "";
  }

  #showLink() {
    const { site } = this.#sample;
    const { path } = this.#choice;
    const link = element("visit");
    link.hidden = !site || !/^\/(?!\/)/.test(path ?? ""); // after //, a line of the log could name any host
    if (!link.hidden) link.href = `${site.replace(/\/$/, "")}${path}`;
  }

  async #copy() {
    const { path, prefix } = this.#choice;
    await navigator.clipboard.writeText(path ?? prefix ?? location.href);
    element("copied").textContent = "Copied.";
  }

  #drawHours({ hours }) {
    element("day-hours").hidden = !hours;
    element("no-hours").hidden = Boolean(hours);
    if (hours) this.#hours.show(hours);
  }

  #drawBots({ kept, total }) {
    element("bots-box").hidden = !kept;
    element("bots").textContent = count(total);
  }

  #say(message) {
    element("history-problem").textContent = message;
    element("history-problem").hidden = false;
  }

  #fail(message) {
    this.#answer = null;
    element("answer").hidden = true;
    this.#say(message);
  }
}

/** How many whole days lie between the newest kept day and today; -1 if today is kept, too. */
function lateDays(newest, today) {
  return newest && today ? daysBetween(newest, today) - 1 : 0;
}

function bestDay({ days, views }) {
  const most = views.reduce((most, each) => Math.max(most, each ?? 0), 0);
  return most ? `${count(most)} on ${day(days[views.indexOf(most)])}` : "–";
}

const span = (from, to) => from === to ? day(from) : `${day(from)} to ${day(to)}`;

/** Days as text: those that follow each other together, and only the last few. */
function named(days) {
  const runs = [];
  for (const each of days) {
    const run = runs.at(-1);
    if (run && daysBetween(run.last, each) === 1) run.last = each;
    else runs.push({ first: each, last: each });
  }
  const more = runs.length - NAMED_RUNS;
  return (more > 0 ? "…, " : "") + runs.slice(-NAMED_RUNS).map(({ first, last }) => span(first, last)).join(", ");
}

/** Years and months from the newest to the oldest, as value and text. */
function monthsOf(oldest, newest) {
  const found = [];
  for (let at = newest.slice(0, 7); at >= oldest.slice(0, 7); at = addDays(`${at}-01`, -1).slice(0, 7)) {
    if (!found.length || at.endsWith("-12")) found.push([at.slice(0, 4), at.slice(0, 4)]);
    found.push([at, month(`${at}-01`)]);
  }
  return found;
}

/** The sections that a path is in: of /blog/2026/a these are /blog/ and /blog/2026/. */
function sectionsOf(path) {
  const parts = path.split("?")[0].split("/").slice(0, -1);
  const from = path.startsWith("//") ? 3 : 2;
  return parts.map((_, at) => `${parts.slice(0, at + 1).join("/")}/`).slice(from - 1).filter((section) => section !== path);
}

function escaped(char) {
  return [...new TextEncoder().encode(char)].map((byte) => `%${byte.toString(16).toUpperCase()}`).join("");
}
