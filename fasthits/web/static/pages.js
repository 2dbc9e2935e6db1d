// A list of pages with bars. Rows move to their new places when the order changes.
import { count, pageName } from "./text.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const MOVE_MS = 450;

export class PageList {
  #list;
  #choose;
  #rows = new Map();

  constructor(list, choose) {
    this.#list = list;
    this.#choose = choose;
  }

  /** Show pages: each has path, views and, if live, last_minute. */
  show(pages) {
    const before = new Map([...this.#rows].map(([path, row]) => [path, row.item.offsetTop]));
    const focused = document.activeElement;
    const most = Math.max(1, ...pages.map((page) => page.views));
    const wanted = new Set(pages.map((page) => page.path));
    for (const [path, row] of this.#rows) {
      if (!wanted.has(path)) {
        row.item.remove();
        this.#rows.delete(path);
      }
    }
    pages.forEach((page, place) => {
      const row = this.#rows.get(page.path) ?? this.#add(page.path);
      if (this.#list.children[place] !== row.item) this.#list.insertBefore(row.item, this.#list.children[place] ?? null);
      this.#fill(row, page, most);
    });
    if (this.#list.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
    if (!STILL.matches) this.#move(before);
  }

  #add(path) {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    button.type = "button";
    const part = (name, text = "") => {
      const span = button.appendChild(document.createElement("span"));
      span.className = name;
      span.textContent = text;
      return span;
    };
    const row = { item, bar: part("bar"), path: part("path"), recent: part("recent") };
    row.recentUnit = part("unseen");
    row.views = part("views");
    part("unseen", "views");
    row.path.textContent = pageName(path);
    row.path.title = pageName(path);
    button.addEventListener("click", () => this.#choose(path));
    this.#rows.set(path, row);
    return row;
  }

  #fill(row, page, most) {
    row.bar.style.width = `${(100 * page.views) / most}%`;
    row.views.textContent = count(page.views);
    row.recent.textContent = page.last_minute ? `+${count(page.last_minute)}` : "";
    row.recentUnit.textContent = page.last_minute ? "in the last minute" : "";
  }

  #move(before) {
    for (const [path, row] of this.#rows) {
      const from = before.get(path);
      const way = from === undefined ? 0 : from - row.item.offsetTop;
      const frames = from === undefined ? [{ opacity: 0 }, { opacity: 1 }] : [{ transform: `translateY(${way}px)` }, { transform: "none" }];
      if (way || from === undefined) row.item.animate(frames, { duration: MOVE_MS, easing: "cubic-bezier(.2,.7,.2,1)" });
    }
  }
}
