// Lists with bars: of pages, sections, referrers ... Rows move to their new places when the order changes.
import { change, count, share } from "./text.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const MOVE_MS = 450;

/** A list. With *choose*, each row is a button; Tab reaches one of them, and the arrow keys go through the others. */
export class List {
  #list;
  #choose;
  #rows = new Map();

  constructor(list, choose = null) {
    this.#list = list;
    this.#choose = choose;
    if (choose) list.addEventListener("keydown", (event) => this.#walk(event));
    list.addEventListener("focusin", ({ target }) => this.#rove(target));
  }

  /** Show rows. Each has a key, a name and views; and maybe a title, a share, views before, a note, and isChosen. */
  show(rows) {
    const before = new Map([...this.#rows].map(([key, { item }]) => [key, item.offsetTop]));
    const focused = document.activeElement;
    const most = Math.max(1, ...rows.map(({ views }) => views));
    const wanted = new Set(rows.map(({ key }) => key));
    for (const [key, { item }] of this.#rows) {
      if (!wanted.has(key)) {
        item.remove();
        this.#rows.delete(key);
      }
    }
    rows.forEach((row, place) => {
      const parts = this.#rows.get(row.key) ?? this.#add(row);
      if (this.#list.children[place] !== parts.item) this.#list.insertBefore(parts.item, this.#list.children[place] ?? null);
      this.#fill(parts, row, most);
    });
    if (this.#list.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
    this.#rove(this.#list.querySelector('[tabindex="0"]') ?? this.#list.querySelector("button"));
    if (!STILL.matches) this.#move(before);
  }

  #add({ key, name, title }) {
    const item = document.createElement("li");
    const line = item.appendChild(document.createElement(this.#choose ? "button" : "div"));
    line.className = "row";
    const part = (name, text = "") => {
      const span = line.appendChild(document.createElement("span"));
      span.className = name;
      span.textContent = text;
      return span;
    };
    const parts = { item, line, bar: part("bar"), name: part("name", name) };
    parts.name.title = title ?? name;
    parts.note = part("note");
    parts.share = part("share");
    parts.change = part("change");
    parts.change.ariaHidden = "true";
    parts.changeWords = part("unseen");
    parts.views = part("views");
    part("unseen", "views");
    if (this.#choose) {
      line.type = "button";
      line.tabIndex = -1;
      line.addEventListener("click", () => this.#choose(key));
    }
    this.#rows.set(key, parts);
    return parts;
  }

  #fill(parts, row, most) {
    parts.bar.style.width = `${(100 * row.views) / most}%`;
    parts.views.textContent = count(row.views);
    parts.note.textContent = row.note ?? "";
    parts.share.textContent = row.share === undefined ? "" : share(row.share);
    const changed = row.before === undefined ? null : change(row.views, row.before);
    parts.change.textContent = changed?.text ?? "";
    parts.change.dataset.way = changed?.way ?? "";
    parts.change.hidden = row.before === undefined;
    parts.changeWords.textContent = changed?.words ?? "";
    if (row.isChosen) parts.line.setAttribute("aria-current", "true");
    else parts.line.removeAttribute("aria-current");
  }

  #walk(event) {
    const lines = [...this.#list.querySelectorAll("button")];
    const at = lines.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    lines[Math.max(0, Math.min(to, lines.length - 1))].focus();
  }

  #rove(line) {
    if (!this.#choose || !line?.matches("button")) return;
    for (const each of this.#list.querySelectorAll('[tabindex="0"]')) each.tabIndex = -1;
    line.tabIndex = 0;
  }

  #move(before) {
    for (const [key, { item }] of this.#rows) {
      const from = before.get(key);
      const way = from === undefined ? 0 : from - item.offsetTop;
      const frames = from === undefined ? [{ opacity: 0 }, { opacity: 1 }] : [{ transform: `translateY(${way}px)` }, { transform: "none" }];
      if (way || from === undefined) item.animate(frames, { duration: MOVE_MS, easing: "cubic-bezier(.2,.7,.2,1)" });
    }
  }
}
