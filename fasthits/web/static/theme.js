// The theme: the system's, or the one that was chosen here. A script of its own, so that it is there before the page.
(() => {
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem("theme");
    } catch { // storage may be forbidden
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
        // then it lasts as long as the page
      }
      dispatchEvent(new Event("themechange"));
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
})();
