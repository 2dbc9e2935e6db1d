// Views by hour of the day: 24 bars, with those of another day outlined behind them.
import { count } from "./text.js";

export class HourBars {
  #list;

  constructor(list) {
    this.#list = list;
  }

  /** Show the views of each hour, maybe with those of another day; the bar of hour *present* is not over yet. */
  show(hours, others = null, present = null) {
    const most = Math.max(1, ...hours, ...(others ?? []));
    this.#list.replaceChildren(...hours.map((views, hour) => {
      const item = document.createElement("li");
      const bar = (name, views) => {
        const span = item.appendChild(document.createElement("span"));
        span.className = name;
        span.style.height = `${(100 * views) / most}%`;
      };
      if (others) bar("other", others[hour]);
      bar(hour === present ? "bar present" : "bar", views);
      const label = item.appendChild(document.createElement("span"));
      label.className = hour % 6 ? "unseen" : "hour";
      label.textContent = `${hour}:00`;
      const words = item.appendChild(document.createElement("span"));
      words.className = "unseen";
      words.textContent = ` ${count(views)}${others ? `, then ${count(others[hour])}` : ""}`;
      item.title = `${hour}:00 to ${hour + 1}:00: ${words.textContent.trim()}`;
      return item;
    }));
  }
}

/** The views of a day up to the time in *at* (2026-11-25T22:15:00+01:00), with a part of the hour that is not over. */
export function sumUntil(hours, at) {
  const [hour, minute] = [Number(at.slice(11, 13)), Number(at.slice(14, 16))];
  return hours.slice(0, hour).reduce((sum, views) => sum + views, 0) + Math.round((hours[hour] * minute) / 60);
}
