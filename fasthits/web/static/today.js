// Today, live: an event a second from the server while the page is visible.
import { PulseChart } from "./charts.js";
import { PageList } from "./pages.js";
import { count, rate } from "./text.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const RISE_MS = 700;
const RETRY_MS = 5000;
const element = (id) => document.getElementById(id);

export class Today {
  #pages;
  #pulse = new PulseChart(element("pulse"));
  #stream = null;
  #last = null;
  #shown = 0;
  #target = 0;
  #onSample;

  constructor(choose, onSample) {
    this.#pages = new PageList(element("most-read"), choose);
    this.#onSample = onSample;
    document.addEventListener("visibilitychange", () => document.hidden ? this.#close() : this.#open());
    if (!document.hidden) this.#open();
  }

  #open() {
    if (this.#stream) return;
    this.#stream = new EventSource("events");
    this.#stream.addEventListener("sample", (event) => this.#show(JSON.parse(event.data)));
    this.#stream.addEventListener("problem", (event) => this.#fail([JSON.parse(event.data).error]));
    this.#stream.addEventListener("error", () => {
      setStatus("broken", "Connecting");
      if (this.#stream?.readyState === EventSource.CLOSED) { // refused: the browser does not try again
        this.#stream = null;
        setTimeout(() => document.hidden || this.#open(), RETRY_MS);
      }
    });
  }

  #close() {
    this.#stream?.close();
    this.#stream = null;
    this.#last = null;
  }

  #show(sample) {
    setStatus("live", "Live");
    setProblems([...sample.problems, ...sample.warnings]);
    this.#rise(sample.views);
    element("last-minute").textContent = count(sample.last_minute);
    element("rate").textContent = rate(sample.rate);
    element("paths").textContent = count(sample.paths);
    element("nothing-yet").hidden = sample.paths > 0;
    this.#pages.show(sample.most_read);
    this.#beat(sample);
    this.#onSample(sample);
  }

  #fail(problems) {
    setStatus("broken", "No numbers");
    setProblems(problems);
  }

  #beat(sample) {
    const at = Date.parse(sample.at) / 1000;
    const last = this.#last;
    if (last && at > last.at && sample.views >= last.views) {
      this.#pulse.add(at, (sample.views - last.views) / (at - last.at));
    }
    this.#last = { at, views: sample.views };
  }

  /** Let the total count up to *views*; show the first number at once, and every number if motion is unwanted. */
  #rise(views) {
    document.title = `${count(views)} views today · fasthits`;
    const from = this.#shown;
    this.#target = views;
    if (STILL.matches || views <= from || from === 0) {
      this.#put(views);
      return;
    }
    const began = performance.now();
    const step = (now) => {
      if (this.#target !== views) return; // a newer sample took over
      const share = Math.min(1, (now - began) / RISE_MS);
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
  if (status.dataset.state === state) return;
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
