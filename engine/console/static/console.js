// Makes the pages of the console live. Everything works without it.
(() => {
  "use strict";

  // Times are written by the server, in the zone that the browser has, unless somebody
  // has chosen another one.
  const root = document.documentElement;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const chosen = document.cookie.includes("leadflow_zone=");
  if (zone && !chosen && root.dataset.zone !== zone) {
    document.cookie = "leadflow_browser_zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; samesite=lax";
    if (document.cookie.includes("leadflow_browser_zone=")) refresh();
  }

  // What somebody is typing, and what is unfolded, stays as it is.
  const dirty = (e) =>
    e.matches?.("input, textarea, select") &&
    (e.type === "checkbox" || e.type === "radio" ? e.checked !== e.defaultChecked
      : e.tagName === "SELECT" ? [...e.options].some((o) => o.selected !== o.defaultSelected)
      : e.value !== e.defaultValue);
  const morph = {
    ignoreActiveValue: true,
    callbacks: {
      beforeNodeMorphed: (old) => !dirty(old),
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
    },
  };

  let timer = 0, failedSince = null, running = false;

  async function refresh() {
    if (running) return;
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Leadflow-Live": "1" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) {
        location.reload(); // to the page on which one signs in
        return;
      }
      if (answer.status >= 500) throw new Error("the server answered " + answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.querySelector("main");
      if (!main) throw new Error("the server answered something else");
      Idiomorph.morph(document.querySelector("main"), main, morph);
      Idiomorph.morph(document.querySelector("footer"), page.querySelector("footer"), morph);
      document.title = page.title;
      root.dataset.zone = page.documentElement.dataset.zone;
      document.body.dataset.live = page.body.dataset.live ?? "";
      document.body.dataset.now = page.body.dataset.now;
      setSkew();
      online();
    } catch (error) {
      offline(error);
    } finally {
      running = false;
      schedule();
    }
  }

  function schedule() {
    clearTimeout(timer);
    const every = Number(document.body.dataset.live);
    if (every > 0 && !document.hidden) timer = setTimeout(refresh, failedSince ? Math.max(every, 3000) : every);
  }

  function offline(error) {
    failedSince ??= new Date();
    document.getElementById("offline-since").textContent =
      "the server has not answered since " + failedSince.toLocaleTimeString() + ". Trying again. (" + error.message + ")";
    document.getElementById("offline").hidden = false;
  }

  function online() {
    failedSince = null;
    document.getElementById("offline").hidden = true;
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && document.body.dataset.live) refresh();
  });
  addEventListener("pageshow", (event) => { // the back button
    if (event.persisted && document.body.dataset.live) refresh();
  });
  schedule();

  // Clocks that run. The server's clock counts, not the browser's.
  let skew = 0;
  function setSkew() {
    skew = Date.parse(document.body.dataset.now) - Date.now() || 0;
  }
  setSkew();
  setInterval(() => {
    for (const e of document.querySelectorAll("[data-since]")) {
      const tenths = Math.max(0, Math.floor((Date.now() + skew - Date.parse(e.dataset.since)) / 100));
      const two = (n) => String(n).padStart(2, "0");
      const seconds = Math.floor(tenths / 10);
      const hours = Math.floor(seconds / 3600);
      e.textContent = (hours ? hours + ":" + two(Math.floor(seconds / 60) % 60) : Math.floor(seconds / 60)) + ":" + two(seconds % 60) + "." + (tenths % 10);
    }
  }, 100);

  // A slash leads to the box, from everywhere but where one types.
  document.addEventListener("keydown", (event) => {
    const box = document.getElementById("number");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !box || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    box.focus();
    box.select();
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 3000);
  });
})();
