"use strict";
(() => {
  const root = document.documentElement;
  const LANGUAGES = { en: "en", zh: "zh-Hans" };
  const parts = [...document.querySelectorAll("section.part")];
  const claims = [...document.querySelectorAll("article.claim")];

  // The address keeps the language, and the place: #zh, #P1, #zh/P1.
  const read = () => {
    const words = decodeURIComponent(location.hash.slice(1)).split("/");
    return { language: words.find((word) => word in LANGUAGES), place: words.find((word) => word && !(word in LANGUAGES)) };
  };
  const write = (place) => {
    history.replaceState(null, "", `#${[root.dataset.lang, place].filter(Boolean).join("/")}`);
  };
  const show = (language) => {
    root.dataset.lang = language;
    root.lang = LANGUAGES[language];
    for (const button of document.querySelectorAll(".switch button")) {
      button.setAttribute("aria-pressed", button.dataset.to === language);
    }
    mark();
  };

  // What is read is the last one that begins above this line, in pixels from the top of the window.
  const BELOW_BAR = 64;
  const at = (all, line) => all.findLastIndex((one) => one.getBoundingClientRect().top <= line);
  const mark = () => {
    const here = parts[at(parts, innerHeight / 4)];
    const title = here?.querySelector("h2").cloneNode(true);
    document.querySelector(".bar .where").replaceChildren(...(title?.childNodes ?? []));
    for (const link of document.querySelectorAll(".contents li > a")) {
      link.toggleAttribute("aria-current", here && link.hash === `#${here.id}`);
    }
  };
  const go = (element) => {
    element.scrollIntoView({ behavior: "instant", block: "start" });
    write(element.id);
    mark();
  };
  const step = (all, by) => {
    const next = at(all, BELOW_BAR) + by;
    if (next < 0) scrollTo({ top: 0, behavior: "instant" });
    else go(all[Math.min(all.length - 1, next)]);
  };

  const KEYS = {
    j: [parts, 1], ArrowRight: [parts, 1], k: [parts, -1], ArrowLeft: [parts, -1], n: [claims, 1], p: [claims, -1],
  };
  addEventListener("keydown", (event) => {
    const found = KEYS[event.key];
    // Arrows move a table that has the focus, and keys with a modifier are the browser's.
    const inTable = event.key.startsWith("Arrow") && event.target.closest?.(".box, pre");
    if (!found || inTable || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    step(...found);
  });
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => step(parts, +button.dataset.step));
  }
  for (const button of document.querySelectorAll(".switch button")) {
    button.addEventListener("click", () => {
      // The place on the page stays in sight: texts of the two languages differ in length.
      const place = claims[at(claims, innerHeight / 4)];
      const before = place?.getBoundingClientRect().top;
      show(button.dataset.to);
      write(read().place);
      if (place) scrollBy({ top: place.getBoundingClientRect().top - before, behavior: "instant" });
    });
  }
  const arrive = () => {
    const { language, place } = read();
    show(language ?? root.dataset.lang ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
    const target = place && document.getElementById(place);
    if (target) go(target);
  };
  addEventListener("hashchange", arrive);
  addEventListener("scroll", mark, { passive: true });
  arrive();

  // On paper everything is unfolded; afterwards it is as it was.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
