// The two charts: views per day, and the pulse of the last two minutes. uPlot draws; colours come from the style sheet.
import { count, day } from "./text.js";

const DAY_SECONDS = 86400;
const PULSE_SECONDS = 120;
const PULSE_AT_LEAST_SECONDS = 10;
const BARS_UP_TO_DAYS = 120;
const FONT = "12px system-ui, sans-serif";

/** The colour of a custom property in the current theme. */
function color(name, alpha = 1) {
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.color = `color-mix(in srgb, var(${name}) ${alpha * 100}%, transparent)`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** A chart that fills *box*. It is resized with the box, and drawn anew when the theme changes. */
class Chart {
  #box;
  #plot = null;
  #data = null;

  constructor(box) {
    this.#box = box;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(box);
    addEventListener("themechange", () => this.#remake());
  }

  show(data) {
    const anew = !this.#plot || this.mustRemake(this.#data, data);
    this.#data = data;
    if (anew) this.#remake();
    else this.#plot.setData(data);
  }

  mustRemake() {
    return false;
  }

  #size() {
    return { width: Math.max(120, this.#box.clientWidth), height: Math.max(60, this.#box.clientHeight) };
  }

  #remake() {
    if (!this.#data) return;
    this.#plot?.destroy();
    this.#plot = new uPlot({ ...this.#size(), ...this.options(this.#box, this.#data) }, this.#data, this.#box);
  }
}

export class DailyChart extends Chart {
  mustRemake(before, after) {
    return (before[0].length > BARS_UP_TO_DAYS) !== (after[0].length > BARS_UP_TO_DAYS);
  }

  options(box, data) {
    const text = { stroke: color("--quiet"), font: FONT, ticks: { show: false } };
    const grid = { stroke: color("--line"), width: 1 };
    const accent = color("--accent");
    const bars = data[0].length <= BARS_UP_TO_DAYS;
    const look = bars ? { paths: uPlot.paths.bars({ size: [0.72, 44], radius: 0.15 }), fill: accent, stroke: accent, width: 0 }
      : { stroke: accent, width: 1.5, fill: color("--accent", 0.18) };
    return {
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      padding: [12, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: !bars }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, range: (_, from, to) => [from - DAY_SECONDS / 2, to + DAY_SECONDS / 2] },
        y: { range: (_, __, most) => [0, Math.max(1, most * 1.06)] },
      },
      axes: [
        { ...text, grid: { show: false }, size: 28, space: 64, incrs: [1, 2, 7, 14, 28, 91, 182].map((days) => days * DAY_SECONDS),
          values: (_, seconds) => seconds.map((at) => new Date(at * 1000).toLocaleDateString("en",
            { day: "numeric", month: "short", timeZone: "UTC" })) },
        { ...text, grid, size: 58, values: (_, views) => views.map((each) => Number.isInteger(each) ? compact(each) : "") },
      ],
      series: [{}, { ...look, points: { show: false } }],
      plugins: [tooltip()],
    };
  }
}

export class PulseChart extends Chart {
  #seconds = [];
  #rates = [];

  add(seconds, rate) {
    this.#seconds.push(seconds);
    this.#rates.push(rate);
    while (this.#seconds[0] < seconds - PULSE_SECONDS) {
      this.#seconds.shift();
      this.#rates.shift();
    }
    this.show([this.#seconds, this.#rates]);
  }

  options() {
    return {
      padding: [6, 0, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: (_, from, to) => [Math.min(from, to - PULSE_AT_LEAST_SECONDS), to] },
        y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] },
      },
      axes: [{ show: false }, { show: false }],
      series: [{}, { paths: uPlot.paths.spline(), stroke: color("--accent"), width: 2, fill: color("--accent", 0.15),
        points: { show: false } }],
    };
  }
}

function compact(number) {
  return new Intl.NumberFormat("en", { notation: "compact" }).format(number);
}

/** A plugin that shows day and views beside the cursor. */
function tooltip() {
  const box = document.createElement("div");
  box.className = "tooltip";
  return {
    hooks: {
      init: (plot) => plot.over.appendChild(box),
      setCursor: (plot) => {
        const at = plot.cursor.idx;
        box.hidden = at === null || at === undefined;
        if (box.hidden) return;
        const when = new Date(plot.data[0][at] * 1000).toISOString().slice(0, 10);
        box.textContent = `${day(when)}: ${count(plot.data[1][at])}`;
        const left = plot.valToPos(plot.data[0][at], "x");
        box.style.left = `${Math.min(Math.max(left - box.offsetWidth / 2, 0), plot.over.clientWidth - box.offsetWidth)}px`;
      },
    },
  };
}
