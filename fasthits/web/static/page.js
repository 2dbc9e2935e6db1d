// The page: what is chosen in its address is shown in its parts.
import { choose, chosen, onChoice, subject, when } from "./chosen.js";
import { Details } from "./details.js";
import { Past } from "./past.js";
import { Search } from "./search.js";
import { count } from "./text.js";
import { Today } from "./today.js";

const REFRESH_MS = 60_000;
const element = (id) => document.getElementById(id);
const past = new Past(choose);
const details = new Details(take);
const today = new Today(take, (sample, isBack) => {
  past.take(sample);
  setTitle();
  if (isBack) refresh();
});

/** Choose what was clicked in a list, and go to it: on a telephone it is far away. */
function take(changes) {
  choose(changes);
  element("past").scrollIntoView({ block: matchMedia("(width <= 860px)").matches ? "start" : "nearest" });
  element("subject").focus({ preventScroll: true });
}

function show(choice) {
  setTitle(choice);
  for (const radio of element("range").querySelectorAll("input")) radio.checked = radio.value === choice.days;
  element(`sort-${choice.sort}`).checked = true;
  element("files").checked = choice.files;
  element("host-box").hidden = choice.host === null;
  element("host").textContent = choice.host ?? "";
  past.show(choice);
  details.show(choice);
  today.show(choice);
}

/** The title names what is chosen, or tells today's views. */
function setTitle(choice = chosen()) {
  const { path, prefix, host } = choice;
  if (path !== null || prefix !== null || host !== null) document.title = `${subject(choice)} ${when(choice)} · fasthits`;
  else document.title = today?.sample ? `${count(today.sample.views)} views today · fasthits` : "fasthits";
}

function refresh() {
  if (document.hidden) return;
  past.refresh();
  details.refresh(chosen());
}

element("range").addEventListener("change", ({ target }) => choose({ days: target.value }));
element("sort").addEventListener("change", ({ target }) => choose({ sort: target.value }));
element("files").addEventListener("change", ({ target }) => choose({ files: target.checked }));
element("all-hosts").addEventListener("click", () => choose({ host: null }));
for (const link of document.querySelectorAll(".skip")) {
  link.addEventListener("click", (event) => { // the address is for what is chosen
    event.preventDefault();
    document.querySelector(link.getAttribute("href")).focus();
  });
}
addEventListener("visibilitychange", refresh);
setInterval(refresh, REFRESH_MS);
onChoice(show);
new Search(take);
