// The theme: the system's, or the reader's choice. A separate script, so that it applies before the page is drawn.
(() => {
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem("theme");
    } catch { // the browser may forbid storage
      return null;
    }
  }

  function choose(theme) {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  }

  let theme = CHOICES.includes(stored()) ? stored() : "auto";
  choose(theme);
  document.addEventListener("DOMContentLoaded", () => {
    choose(theme);
    document.getElementById("theme").addEventListener("click", () => {
      theme = CHOICES[(CHOICES.indexOf(theme) + 1) % CHOICES.length];
      choose(theme);
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // the choice lasts as long as the page
      }
      dispatchEvent(new Event("themechange"));
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
})();
