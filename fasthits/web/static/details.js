// What the chosen days hold besides the chart: the most read pages, sections, referrers, searches, bots and hosts.
import { Panel, ask } from "./answers.js";
import { asked, when } from "./chosen.js";
import { List } from "./lists.js";
import { count, pageName, readable } from "./text.js";

const ROWS = 10;
const element = (id) => document.getElementById(id);

/** The lists: the endpoint and its parameters, what a row is, and what a click on a row chooses. One with a title has a card;
 *  one with an option (how) is hidden if the rollup does not keep it. */
const KINDS = [
  {
    name: "most-read",
    address: ({ sort }) => sort === "not-found" ? "not-found" : "most-read",
    parameters: ({ prefix, sort }) => sort === "not-found" ? { prefix, pages: null } : { prefix, sort: sort === "rise" ? sort : null },
    rows: ({ paths, rows, kept_days, before }, { path }) => (paths ?? rows).map((page) => ({
      ...page,
      key: page.path,
      name: pageName(page.path),
      title: page.path,
      before: before ? (page.before * kept_days) / before.kept_days : undefined,
      isChosen: page.path === path,
    })),
    chooses: (path) => ({ path }),
    note: ({ kept, before }, { sort }) => {
      if (kept === false) return "The database does not keep what was not found. Run fasthits rollup with --not-found apart.";
      return sort === "rise" && !before ? "No day before these is kept, so nothing is known to rise. Sorted by views." : "";
    },
  },
  {
    name: "sections",
    title: "Sections",
    parameters: ({ prefix }) => ({ prefix }),
    rows: ({ rows }, { path, prefix }) => rows.map((row) => ({
      ...row,
      key: row.section,
      name: readable(row.section),
      isChosen: row.section === (path ?? `${prefix}*`),
    })),
    chooses: (section) => section.endsWith("/*") ? { prefix: section.slice(0, -1) } : { path: section },
  },
  {
    name: "referrers",
    title: "Came from",
    what: "where readers came from",
    how: "--referrers",
    parameters: ({ path, prefix }) => ({ path, prefix, pages: null }),
    rows: ({ rows }) => rows.map((row) => ({ key: row.referrer, name: readable(row.referrer), views: row.views })),
  },
  {
    name: "searches",
    title: "Searched for",
    what: "what they had searched for",
    how: "--search-terms",
    parameters: ({ path, prefix }) => ({ path, prefix, pages: null }),
    rows: ({ rows }) => rows.map((row) => ({ key: `${row.engine}\n${row.terms}`, name: readable(row.terms), note: row.engine, views: row.views })),
  },
  {
    name: "read-by-bots",
    title: "Read by bots",
    what: "bots",
    how: "--bots apart",
    parameters: ({ prefix }) => ({ prefix, pages: null }),
    rows: ({ rows }, { path }) => rows.map((row) => ({ key: row.path, name: pageName(row.path), title: row.path, views: row.views, isChosen: row.path === path })),
    chooses: (path) => ({ path }),
  },
  {
    name: "hosts",
    title: "Hosts",
    what: "hosts",
    how: "--by-host",
    parameters: () => ({ host: null, pages: null, limit: null }),
    rows: ({ rows }, { host }) => rows.map((row) => ({ key: row.host, name: readable(row.host), views: row.views, share: row.share, isChosen: row.host === host })),
    chooses: (host) => ({ host }),
  },
];

export class Details {
  #listings;
  #notKept = new Set();

  constructor(choose) {
    element("not-kept").before(...KINDS.filter(({ title }) => title).map(card));
    this.#listings = KINDS.map((kind) => new Listing(kind, choose, (isKept) => this.#tellKept(kind, isKept)));
  }

  show(choice) {
    element("kept-title").textContent = `${choice.sort === "not-found" ? "Not found" : "Most read"} ${when(choice)}`;
    element("details-title").textContent = `Also ${when(choice)}`;
    for (const listing of this.#listings) listing.show(choice);
  }

  refresh(choice) {
    for (const listing of this.#listings) listing.refresh(choice);
  }

  #tellKept(kind, isKept) {
    if (isKept) this.#notKept.delete(kind);
    else this.#notKept.add(kind);
    const named = KINDS.filter((kind) => this.#notKept.has(kind)).map(({ what, how }) => `${what} (${how})`);
    element("not-kept").textContent = named.length ? `Not kept here: ${named.join(", ")}. An option of fasthits rollup keeps each of them.` : "";
  }
}

/** Make the section of a list. */
function card({ name, title }) {
  const section = element("card").content.firstElementChild.cloneNode(true);
  const [heading, list] = section.querySelectorAll("h3, ol");
  section.id = name;
  heading.id = `${name}-title`;
  heading.textContent = title;
  for (const each of [section, list]) each.setAttribute("aria-labelledby", heading.id);
  return section;
}

class Listing {
  #kind;
  #box;
  #list;
  #more;
  #panel;
  #tellKept;
  #address = "";
  #rows = [];
  #next = null;
  #choice = null;

  constructor(kind, choose, tellKept) {
    this.#kind = kind;
    this.#tellKept = tellKept;
    this.#box = element(kind.name);
    this.#list = new List(this.#box.querySelector("ol"), kind.chooses && ((key) => choose(kind.chooses(key))));
    this.#more = this.#box.querySelector(".more");
    this.#more.addEventListener("click", () => this.#goOn());
    this.#panel = new Panel(this.#box, (answer, choice) => this.#draw(answer, choice), (message) => this.#fail(message));
  }

  show(choice) {
    const { parameters, name, address: addressOf = () => name } = this.#kind;
    this.#choice = choice;
    const address = `api/${addressOf(choice)}?${asked(choice, { limit: ROWS, ...parameters(choice) })}`;
    if (address === this.#address && this.#rows.length) {
      this.#list.show(this.#rows.flatMap((answer) => this.#kind.rows(answer, choice)));
      return;
    }
    this.#address = address;
    this.#panel.show(address, choice);
  }

  refresh(choice) {
    this.#panel.refresh(choice);
  }

  #draw(answer) {
    this.#rows = [answer];
    this.#show(answer);
  }

  #show(answer) {
    this.#next = answer.next ?? null;
    const rows = this.#rows.flatMap((each) => this.#kind.rows(each, this.#choice));
    const isKept = !this.#kind.how || answer.kept;
    this.#tellKept(isKept);
    this.#box.hidden = !isKept;
    this.#say(this.#kind.note?.(answer, this.#choice) || (rows.length ? "" : "Nothing in these days."));
    this.#list.show(rows);
    this.#more.hidden = this.#next === null;
    this.#more.textContent = answer.count ? `Show more of ${count(answer.count)}` : "Show more";
  }

  async #goOn() {
    const address = this.#address;
    try {
      const answer = await ask(`${address}&${new URLSearchParams({ offset: this.#next })}`);
      if (address !== this.#address) return;
      this.#rows.push(answer);
      this.#show(answer);
    } catch (error) {
      if (address === this.#address) this.#say(error.message);
    }
  }

  #say(text) {
    const line = this.#box.querySelector(".empty");
    line.textContent = text;
    line.hidden = !text;
  }

  #fail(message) {
    this.#rows = [];
    this.#box.hidden = false;
    this.#more.hidden = true;
    this.#list.show([]);
    this.#say(message);
  }
}
