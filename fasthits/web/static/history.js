// Past days: a chart, a table and the most read pages, for all pages or for one page.
import { DailyChart } from "./charts.js";
import { PageList } from "./pages.js";
import { ask, count, day, pageName } from "./text.js";

const element = (id) => document.getElementById(id);

export class History {
  #chart = new DailyChart(element("chart"));
  #kept;
  #asking = new AbortController();
  #path = null;

  constructor(choose) {
    this.#kept = new PageList(element("kept"), choose);
    element("all-pages").addEventListener("click", () => choose(null));
  }

  /** Show the last *days* days of a page, or of all pages if *path* is null. */
  async show(path, days) {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#path = path;
    element("subject").textContent = path === null ? "All pages" : pageName(path);
    element("all-pages").hidden = path === null;
    element("path-today-box").hidden = path === null;
    element("path-today").textContent = "–";
    const parameters = new URLSearchParams(path === null ? { days } : { path, days });
    try {
      const [history, mostRead] = await Promise.all([
        ask(`api/history?${parameters}`, signal),
        ask(`api/most-read?${new URLSearchParams({ days, limit: 10 })}`, signal),
      ]);
      this.#draw(history, days);
      this.#kept.show(mostRead.paths);
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(error.message);
    }
  }

  /** Update today's number of the page shown. */
  async refresh(sample) {
    const path = this.#path;
    if (path === null) return;
    const listed = sample.most_read.find((page) => page.path === path);
    try {
      const { views } = listed ?? await ask(`api/today?${new URLSearchParams({ path })}`);
      if (path === this.#path) element("path-today").textContent = count(views);
    } catch {
      if (path === this.#path) element("path-today").textContent = "–";
    }
  }

  #draw({ days, views, total }, wanted) {
    const problem = element("history-problem");
    problem.hidden = days.length > 0;
    problem.textContent = "The database has no days yet. Run fasthits rollup.";
    element("chart").hidden = days.length === 0;
    element("kept-total").textContent = count(total);
    element("kept-average").textContent = days.length ? count(Math.round(total / days.length)) : "–";
    const best = views.indexOf(Math.max(...views));
    element("kept-best").textContent = total ? `${count(views[best])} on ${day(days[best])}` : "–";
    element("kept-title").textContent = `Most read in ${wanted} days`;
    element("days").replaceChildren(...days.map((name, at) => tableRow(day(name), count(views[at]))).reverse());
    if (days.length === 0) return;
    const text = `Views per day from ${day(days[0])} to ${day(days.at(-1))}: ${count(total)} in all`;
    element("chart").setAttribute("aria-label", text);
    this.#chart.show([days.map((name) => Date.parse(name) / 1000), views]);
  }

  #fail(message) {
    element("history-problem").textContent = message;
    element("history-problem").hidden = false;
    element("chart").hidden = true;
    for (const id of ["kept-total", "kept-average", "kept-best"]) element(id).textContent = "–";
    element("days").replaceChildren();
    this.#kept.show([]);
  }
}

function tableRow(...texts) {
  const row = document.createElement("tr");
  texts.forEach((text, at) => {
    const cell = row.appendChild(document.createElement(at ? "td" : "th"));
    if (!at) cell.scope = "row";
    cell.textContent = text;
  });
  return row;
}
