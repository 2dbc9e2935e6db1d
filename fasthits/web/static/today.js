// Today, live: an event a second from the server while the page is visible, and the views by hour.
import { ask } from "./answers.js";
import { PulseChart } from "./charts.js";
import { HourBars, sumUntil } from "./hours.js";
import { List } from "./lists.js";
import { addDays, age, change, count, day, pageName, rate, some, weekdayAndDay } from "./text.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const RISE_MS = 700;
const RETRY_MS = 5000;
const FRESH_SECONDS = 5;
const HOURS_MS = 60_000;
const NO_HOURS_MS = 10_000; // a logger that has just started publishes its hours after so long
const MINUTE = 60;
const element = (id) => document.getElementById(id);

export class Today {
  #list;
  #pulse = new PulseChart(element("pulse"));
  #hours = new HourBars(element("today-hours"));
  #stream = null;
  #address = null;
  #sample = null;
  #sampledAt = 0;
  #shown = 0;
  #target = 0;
  #choice = null;
  #onSample;
  #hoursAsked = 0;
  #ofHours = null;

  constructor(choose, onSample) {
    this.#list = new List(element("most-read-today"), (path) => choose({ path }));
    this.#onSample = onSample;
    element("more-today").addEventListener("click", () => element("now").classList.remove("short")); // on a telephone
    document.addEventListener("visibilitychange", () => document.hidden ? this.#close() : this.#open());
    setInterval(() => this.#tellAge(), 1000);
  }

  /** Mark what is chosen, and count static files or not. */
  show(choice) {
    this.#choice = choice;
    const address = choice.files ? "events" : "events?pages=1";
    if (address !== this.#address) {
      this.#address = address;
      this.#close();
      this.#forget();
      if (!document.hidden) this.#open();
    } else if (this.#sample) {
      this.#listPaths();
    }
  }

  /** The newest sample, or null. */
  get sample() {
    return this.#sample;
  }

  #open() {
    if (this.#stream) return;
    const stream = this.#stream = new EventSource(this.#address);
    stream.addEventListener("sample", (event) => this.#take(JSON.parse(event.data)));
    stream.addEventListener("problem", (event) => this.#fail([JSON.parse(event.data).error]));
    stream.addEventListener("error", () => {
      setStatus("broken", "Connecting");
      this.#stale();
      if (stream === this.#stream && stream.readyState === EventSource.CLOSED) { // refused: the browser does not try again
        this.#stream = null;
        setTimeout(() => document.hidden || this.#open(), RETRY_MS);
      }
    });
  }

  #close() {
    this.#stream?.close();
    this.#stream = null;
  }

  #forget() {
    this.#sample = null;
    element("today").setAttribute("aria-busy", "true");
  }

  #take(sample) {
    const last = this.#sample;
    const isBack = "stale" in element("today").dataset || (last !== null && last.day !== sample.day);
    this.#sample = sample;
    this.#sampledAt = performance.now() - 1000 * (sample.age_seconds ?? 0);
    setStatus("live", "Live");
    setProblems([...sample.problems, ...sample.warnings]);
    element("today").removeAttribute("aria-busy");
    element("today").removeAttribute("data-stale");
    element("age").textContent = "";
    this.#write(sample);
    this.#listPaths();
    this.#beat(sample, last);
    const wait = this.#ofHours?.now ? HOURS_MS : NO_HOURS_MS;
    if (performance.now() > this.#hoursAsked + wait || last?.day !== sample.day) this.#askHours(sample.day);
    this.#onSample(sample, isBack);
  }

  #write(sample) {
    element("today-title").textContent = this.#choice.files ? "Views today, with files" : "Views today";
    element("today-day").textContent = `${day(sample.day)}, ${sample.time_zone ?? `UTC${sample.at.slice(-6)}`}`;
    this.#rise(sample.views);
    const window = Math.floor(sample.window_seconds ?? MINUTE);
    element("window").textContent = !window || window >= MINUTE ? "last minute" : `last ${window} s`;
    element("last-minute").textContent = window ? count(sample.last_minute) : "–";
    element("rate").textContent = rate(sample.rate);
    element("paths").textContent = count(sample.paths);
    element("paths-word").textContent = this.#choice.files ? "paths" : "pages";
    element("nothing-yet").hidden = sample.paths > 0;
    element("list-window").textContent = window ? `+ in the last ${window >= MINUTE ? "minute" : some(window, "second")}` : "";
    this.#compare();
  }

  #listPaths() {
    this.#list.show(this.#sample.most_read.map(({ path, views, last_minute }) => ({
      key: path,
      name: pageName(path),
      title: path,
      views,
      note: last_minute ? `+${count(last_minute)}` : "",
      isChosen: path === this.#choice.path,
    })));
  }

  #fail(problems) {
    setStatus("broken", "No numbers");
    setProblems(problems);
    this.#stale();
  }

  /** Dim the numbers. They stay: the reader is told how old they are. */
  #stale() {
    element("today").dataset.stale = "";
    this.#tellAge();
  }

  #tellAge() {
    const seconds = (performance.now() - this.#sampledAt) / 1000;
    if (!this.#sample || document.hidden || (seconds < FRESH_SECONDS && !("stale" in element("today").dataset))) return;
    element("today").dataset.stale = "";
    element("age").textContent = `These numbers are ${age(seconds)} old.`;
  }

  #beat(sample, last) {
    const at = Date.parse(sample.at) / 1000;
    const before = last && Date.parse(last.at) / 1000;
    if (last && last.day === sample.day && at > before && at - before < FRESH_SECONDS && sample.views >= last.views) {
      this.#pulse.add(at, (sample.views - last.views) / (at - before));
    }
  }

  async #askHours(today) {
    this.#hoursAsked = performance.now();
    const before = addDays(today, -7);
    const [now, then] = await Promise.all([today, before].map(async (day) => {
      try {
        return (await ask(`api/hours?${new URLSearchParams({ day })}`)).hours;
      } catch { // the page says already that the server or the database is away
        return null;
      }
    }));
    this.#ofHours = { now, then, before };
    element("by-hour").hidden = !now;
    if (now) this.#hours.show(now, then, Number(this.#sample.at.slice(11, 13)));
    element("hours-note").textContent = then ? `Outlined: ${weekdayAndDay(before)}.` : "";
    this.#compare();
  }

  /** Compare today with the same weekday a week before, up to the same minute. All requests count, files too. */
  #compare() {
    const { now, then, before } = this.#ofHours ?? {};
    const line = element("compared");
    line.hidden = !now || !then;
    if (line.hidden) return;
    const changed = change(now.reduce((sum, views) => sum + views, 0), sumUntil(then, this.#sample.at));
    line.hidden = !changed;
    if (!changed) return;
    line.dataset.way = changed.way;
    line.textContent = `${changed.text} against ${weekdayAndDay(before)} by this time`;
  }

  /** Let the total count up to *views*; show the first number at once, and every number if motion is unwanted. */
  #rise(views) {
    const from = this.#shown;
    this.#target = views;
    if (STILL.matches || views <= from || from === 0) {
      this.#put(views);
      return;
    }
    const began = performance.now();
    const step = (now) => {
      if (this.#target !== views) return; // a newer sample took over
      const share = Math.max(0, Math.min(1, (now - began) / RISE_MS));
      this.#put(Math.round(from + (views - from) * share));
      if (share < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #put(views) {
    this.#shown = views;
    element("views").textContent = count(views);
  }
}

function setStatus(state, text) {
  const status = element("status");
  if (status.textContent === text) return;
  status.dataset.state = state;
  status.textContent = text;
}

function setProblems(problems) {
  const list = element("problems");
  if ([...list.children].map((item) => item.textContent).join() === problems.join()) return;
  list.replaceChildren(...problems.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}
