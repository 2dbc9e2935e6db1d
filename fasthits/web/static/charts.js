// The charts: views by day or by week, and the pulse of the last two minutes. uPlot draws; colours come from the style sheet.
import { addDays, compact, count, day, shortDay, some, weekday, weekdayAndDay } from "./text.js";

const DAY_SECONDS = 86400;
const LABEL_PIXELS = 88;
const LAST_LABEL_PIXELS = 24; // its half goes beyond its bar
const STRIPES_PIXELS = 6;
const DIGIT_PIXELS = 7.5;
const FONT = "12px system-ui, sans-serif";

/** The colour of a custom property in the current theme. */
function color(name, alpha = 1) {
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.forcedColorAdjust = "none";
  probe.style.color = `color-mix(in srgb, var(${name}) ${alpha * 100}%, transparent)`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const look = () => ({ stroke: color("--quiet"), font: FONT, ticks: { show: false } });

/** Room for the longest label of an axis, so that no label is cut. */
const labelWidth = (_, labels) => 14 + DIGIT_PIXELS * Math.max(2, ...(labels ?? []).map((label) => label.length));

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

  show(data, anew = false) {
    this.#data = data;
    if (anew || !this.#plot) this.#remake();
    else this.#plot.setData(data);
  }

  #size() {
    return { width: Math.max(120, this.#box.clientWidth), height: Math.max(60, this.#box.clientHeight) };
  }

  #remake() {
    if (!this.#data) return;
    this.#plot?.destroy();
    this.#plot = new uPlot({ ...this.#size(), ...this.options() }, this.#data, this.#box);
  }
}

/** Bars for days or for weeks, each with first and last day, views or null, and how many of its days are kept. */
export class DailyChart extends Chart {
  #bars = [];
  #choose;

  constructor(box, choose) {
    super(box);
    this.#choose = choose;
  }

  show(bars) {
    const anew = bars.length !== this.#bars.length || bars[0]?.first !== this.#bars[0]?.first || bars[0]?.last !== this.#bars[0]?.last;
    this.#bars = bars;
    super.show([
      bars.map(({ first }) => Date.parse(first) / 1000),
      bars.map(({ views, whole }) => whole ? views : null),
      bars.map(({ views, whole }) => whole ? null : views),
    ], anew);
  }

  options() {
    const bars = this.#bars;
    const step = (bars.length > 1 ? Date.parse(bars[1].first) - Date.parse(bars[0].first) : DAY_SECONDS * 1000) / 1000;
    const paths = uPlot.paths.bars({ size: [0.72, 44], radius: 0.15 });
    const filled = (alpha) => ({ paths, fill: color("--accent", alpha), width: 0, points: { show: false } });
    return {
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      padding: [14, LAST_LABEL_PIXELS, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: true, range: ({ data: [seconds] }) => [seconds[0] - step / 2, seconds.at(-1) + step / 2] },
        y: { range: (_, __, most) => [0, Math.max(1, most * 1.06)] },
      },
      axes: [
        { ...look(), grid: { show: false }, size: 28, splits: (plot) => this.#labelled(plot), values: (_, seconds) => dayLabels(seconds) },
        { ...look(), grid: { stroke: color("--line"), width: 1 }, size: labelWidth,
          values: (_, views) => views.map((each) => Number.isInteger(each) ? compact(each) : "") },
      ],
      series: [{}, filled(1), filled(0.45)],
      plugins: [ground(this), tooltip(this)],
    };
  }

  get bars() {
    return this.#bars;
  }

  /** The bar at a place of the mouse. */
  at(plot, event) {
    return this.#bars[plot.posToIdx(event.clientX - plot.over.getBoundingClientRect().left)];
  }

  take(bar) {
    if (bar?.kept) this.#choose(bar.first, bar.last);
  }

  #labelled(plot) {
    const every = Math.max(1, Math.ceil((this.#bars.length * LABEL_PIXELS) / Math.max(1, plot.over.clientWidth || plot.width)));
    return plot.data[0].filter((_, at) => at % every === 0);
  }
}

/** Days as labels. The first label and each of a new year say the year, if there is more than this year. */
function dayLabels(seconds) {
  const days = seconds.map((each) => new Date(each * 1000).toISOString().slice(0, 10));
  const year = new Date().toISOString().slice(0, 4);
  return days.map((each, at) => each.slice(0, 4) === (at ? days[at - 1].slice(0, 4) : year) ? shortDay(each) : day(each));
}

/** A plugin that shades weekends, and stripes days that are not kept. */
function ground(chart) {
  return {
    hooks: {
      drawClear: (plot) => {
        const { ctx, bbox } = plot;
        const [weekend, missing] = [color("--raised"), stripes(ctx)];
        const seconds = plot.data[0];
        const step = seconds.length > 1 ? seconds[1] - seconds[0] : DAY_SECONDS;
        chart.bars.forEach(({ first, last, views }, at) => {
          const isWeekend = first === last && [0, 6].includes(weekday(first)) && chart.bars.length > 1;
          if (views !== null && !isWeekend) return;
          const left = plot.valToPos(seconds[at] - step / 2, "x", true);
          const right = plot.valToPos(seconds[at] + step / 2, "x", true);
          ctx.fillStyle = views === null ? missing : weekend;
          ctx.fillRect(left, bbox.top, right - left, bbox.height);
        });
      },
    },
  };
}

function stripes(ctx) {
  const size = STRIPES_PIXELS * devicePixelRatio;
  const tile = new OffscreenCanvas(size, size);
  const pen = tile.getContext("2d");
  pen.strokeStyle = color("--line");
  pen.lineWidth = devicePixelRatio;
  for (const from of [-size, 0, size]) {
    pen.moveTo(from, size);
    pen.lineTo(from + size, 0);
  }
  pen.stroke();
  return ctx.createPattern(tile, "repeat");
}

/** What a bar says: its days, its views, and what is missing. */
export function words({ first, last, views, whole, kept, of }) {
  const days = first === last ? weekdayAndDay(first) : `${day(first)} to ${day(last)}`;
  if (views === null) return `${days}: not kept`;
  if (whole) return `${days}: ${count(views)}`;
  return first === last ? `${days}: ${count(views)} so far` : `${days}: ${count(views)} on ${kept} of ${some(of, "day")}`;
}

/** A plugin that shows what a bar says beside the cursor, and lets a click choose its days. */
function tooltip(chart) {
  const box = document.createElement("div");
  box.className = "tooltip";
  return {
    hooks: {
      init: (plot) => {
        plot.over.append(box);
        plot.over.addEventListener("click", (event) => chart.take(chart.at(plot, event)));
      },
      setCursor: (plot) => {
        const bar = chart.bars[plot.cursor.idx];
        box.hidden = !bar;
        if (!bar) return;
        box.textContent = words(bar);
        const left = plot.valToPos(plot.data[0][plot.cursor.idx], "x");
        box.style.left = `${Math.min(Math.max(left - box.offsetWidth / 2, 0), plot.over.clientWidth - box.offsetWidth)}px`;
      },
    },
  };
}

const PULSE_SECONDS = 120;
const PULSE_GAP_SECONDS = 6;
const PULSE_STORED = "pulse";

/** Views a second in the last two minutes. The browser's tab remembers them, so that a reload does not begin anew. */
export class PulseChart extends Chart {
  #points = recall();

  constructor(box) {
    super(box);
    addEventListener("pagehide", () => remember(this.#points));
  }

  add(at, rate) {
    const last = this.#points.at(-1);
    if (last && at - last[0] > PULSE_GAP_SECONDS) this.#points.push([at - 1, null]);
    this.#points = this.#points.filter(([seconds]) => seconds > at - PULSE_SECONDS && seconds < at); // a clock may go back
    this.#points.push([at, rate]);
    this.show([this.#points.map(([seconds]) => seconds), this.#points.map(([, rate]) => rate)]);
  }

  options() {
    return {
      padding: [8, 14, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: (_, __, to) => [to - PULSE_SECONDS, to] },
        y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] },
      },
      axes: [
        { ...look(), grid: { show: false }, size: 22, splits: (_, __, from, to) => [from, (from + to) / 2, to],
          values: () => ["2 min ago", "1 min ago", "now"] },
        { ...look(), grid: { stroke: color("--line"), width: 1 }, size: labelWidth, space: 34,
          values: (_, rates) => rates.map((each) => Number.isInteger(each) ? compact(each) : "") },
      ],
      series: [{}, { paths: uPlot.paths.linear(), stroke: color("--accent"), width: 2, fill: color("--accent", 0.15),
        points: { show: true, size: 4, fill: color("--accent"), filter: alone } }],
    };
  }
}

/** The places of points that no line joins to another point. */
function alone(plot, series) {
  const rates = plot.data[series];
  return [...rates.keys()].filter((at) => rates[at] !== null && (rates[at - 1] ?? null) === null && (rates[at + 1] ?? null) === null);
}

function remember(points) {
  try {
    sessionStorage.setItem(PULSE_STORED, JSON.stringify(points));
  } catch {
    // the browser forbids storage: the pulse begins anew
  }
}

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(PULSE_STORED)) ?? [];
  } catch {
    return [];
  }
}

/** Bars for all days of a range, or for its weeks if there are too many days. *today* is a day and its views so far, or null. */
export function barsOf({ days, views }, today, mostDays) {
  const all = days.map((each, at) => ({ first: each, last: each, views: views[at], whole: true, kept: views[at] === null ? 0 : 1, of: 1 }));
  if (today) all.push({ first: today.day, last: today.day, views: today.views, whole: false, kept: 0, of: 1 });
  return all.length > mostDays ? weeksOf(all) : all;
}

/** Weeks from Monday to Sunday. A week is whole if all of its days are kept. */
function weeksOf(bars) {
  const weeks = new Map();
  for (const bar of bars) {
    const first = addDays(bar.first, -((weekday(bar.first) + 6) % 7));
    const week = weeks.get(first) ?? { first, last: addDays(first, 6), views: null, whole: false, kept: 0, of: 7 };
    if (bar.views !== null) week.views += bar.views;
    week.kept += bar.kept;
    week.whole = week.kept === 7;
    weeks.set(first, week);
  }
  return [...weeks.values()];
}
