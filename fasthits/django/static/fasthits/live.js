// Keeps [data-fasthits] elements at the live number: <span data-fasthits="/a/">12</span>
// <script src="{% static 'fasthits/live.js' %}" data-url="{% url 'fasthits:hits_today' %}" defer></script>
(() => {
  const SECONDS = 3, PATHS = 100;
  const url = document.currentScript.dataset.url;
  const refresh = async () => {
    const elements = [...document.querySelectorAll("[data-fasthits]")];
    const paths = [...new Set(elements.map((element) => element.dataset.fasthits))].slice(0, PATHS);
    if (document.hidden || !paths.length) return;
    const answer = await fetch(`${url}?${new URLSearchParams(paths.map((path) => ["path", path]))}`);
    if (!answer.ok) return;
    const views = new Map(Object.entries(await answer.json()));
    for (const element of elements) {
      const number = views.get(element.dataset.fasthits);
      if (number !== undefined) element.textContent = number;
    }
  };
  const again = () => refresh().catch(() => {}).finally(() => setTimeout(again, SECONDS * 1000));
  again();
})();
