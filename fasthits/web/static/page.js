// The page. The address holds the path and the days shown, after #, so links and the back button work.
import { History } from "./history.js";
import { Search } from "./search.js";
import { Today } from "./today.js";

const RANGES = ["7", "30", "90", "365"];
const range = document.getElementById("range");
const history = new History(choose);

function state() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const days = parameters.get("days");
  return { path: parameters.get("path"), days: RANGES.includes(days) ? days : "30" };
}

function go({ path, days }) {
  const parameters = new URLSearchParams({ ...(path === null ? {} : { path }), days });
  location.hash = parameters.toString();
}

function choose(path) {
  go({ ...state(), path });
  document.getElementById("history-title").scrollIntoView({ block: "nearest" });
}

function show() {
  const { path, days } = state();
  range.querySelector(`[value="${days}"]`).checked = true;
  history.show(path, days);
}

range.addEventListener("change", (event) => go({ ...state(), days: event.target.value }));
addEventListener("hashchange", () => (location.hash === "" || location.hash.includes("=")) && show()); // not the skip link
show();
new Search(choose);
new Today(choose, (sample) => history.refresh(sample));
