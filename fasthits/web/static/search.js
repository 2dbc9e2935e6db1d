// The search box: a combobox with a list of matching pages, after the WAI-ARIA authoring practices.
import { ask } from "./answers.js";
import { pageName, readable } from "./text.js";

const WAIT_MS = 150;
const input = document.getElementById("search");
const list = document.getElementById("found");

export class Search {
  #choose;
  #asking = new AbortController();
  #timer = 0;
  #active = -1;

  constructor(choose) {
    this.#choose = choose;
    input.addEventListener("input", () => this.#later());
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("blur", () => this.#close());
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus in the box
    document.addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLInputElement && event.target.type !== "radio";
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        input.focus();
      }
    });
  }

  #later() {
    clearTimeout(this.#timer);
    this.#asking.abort();
    const text = input.value.trim().replace(/\/\*$/, "/");
    if (text) this.#timer = setTimeout(() => this.#find(text), WAIT_MS);
    else this.#close();
  }

  async #find(q) {
    this.#asking = new AbortController();
    try {
      const { paths } = await ask(`api/search?${new URLSearchParams({ q, limit: 12 })}`, this.#asking.signal);
      const pages = paths.map((path) => ({ name: pageName(path), changes: { path } }));
      this.#show([...sectionOf(q, paths), ...pages]);
    } catch (error) {
      if (error.name !== "AbortError") this.#say(error.message);
    }
  }

  #show(found) {
    if (!found.length) {
      this.#say("No path contains this.");
      return;
    }
    list.replaceChildren(...found.map(({ name, changes }, at) => {
      const item = document.createElement("li");
      item.id = `found-${at}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.textContent = name;
      item.addEventListener("click", () => this.#take(changes));
      item.changes = changes;
      return item;
    }));
    this.#open();
  }

  #say(text) {
    const item = document.createElement("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-disabled", "true");
    item.textContent = text;
    list.replaceChildren(item);
    this.#open();
  }

  #open() {
    list.hidden = document.activeElement !== input;
    input.setAttribute("aria-expanded", String(!list.hidden));
    this.#mark(-1);
  }

  #close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  #mark(at) {
    this.#active = at;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    if (at < 0) {
      input.removeAttribute("aria-activedescendant");
      return;
    }
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    const options = [...list.children].filter((item) => item.changes);
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !list.hidden && options.length) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#mark((this.#active + step + options.length + (this.#active < 0 && step < 0 ? 1 : 0)) % options.length);
    } else if (event.key === "Enter" && !list.hidden && options.length) {
      event.preventDefault();
      this.#take(options[Math.max(0, this.#active)].changes);
    } else if (event.key === "Escape") {
      this.#close();
    }
  }

  #take(changes) {
    input.value = "";
    this.#close();
    this.#choose(changes);
  }
}

/** The section that a text such as /blog/ names, written as in the paths found; a list of one or none. */
function sectionOf(shown, paths) {
  if (!/^\/.+\/$/.test(shown)) return [];
  const inside = paths.find((path) => readable(path).startsWith(shown)) ?? shown;
  const prefix = `${inside.split("/", shown.split("/").length - 1).join("/")}/`;
  return [{ name: `${readable(prefix)}* (section)`, changes: { prefix } }];
}
