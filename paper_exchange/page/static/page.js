// The page at "/": applies what the exchange says has changed, and sends forms without a reload.
"use strict";
(() => {
  const live = document.getElementById("live");
  const said = document.getElementById("said");
  const parser = document.createElement("template");
  let source = null;

  function state(name, text) {
    live.dataset.state = name;
    live.textContent = text;
  }

  // -- updates: {facts: {id: text}, panels: {id: {keys?: [key], rows: {key: [cell]}}}} -----------

  function fill(row, cells) {
    cells.forEach((html, index) => {
      parser.innerHTML = html;
      const cell = parser.content.firstElementChild;
      const old = row.children[index];
      if (!old) row.append(cell);
      // Only what differs is replaced: a focused button or a selection stays as it is.
      else if (!old.isEqualNode(cell)) old.replaceWith(cell);
    });
    while (row.children.length > cells.length) row.lastElementChild.remove();
  }

  function patch(table, { keys, rows }, first) {
    const body = table.tBodies[0];
    const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
    for (const [key, cells] of Object.entries(rows)) {
      const row = known.get(key) ?? document.createElement("tr");
      if (!known.has(key) && !first) row.className = "fresh";
      row.dataset.key = key;
      known.set(key, row);
      fill(row, cells);
    }
    if (!keys) return;
    const wanted = new Set(keys);
    for (const row of [...body.rows]) if (!wanted.has(row.dataset.key)) row.remove();
    keys.forEach((key, index) => {
      const row = known.get(key);
      if (row && body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    });
  }

  function apply(update, first) {
    for (const [id, text] of Object.entries(update.facts ?? {})) {
      const element = document.getElementById(id);
      if (!element) continue;
      element.textContent = text;
      if (id === "phase") element.dataset.phase = text.split(" ")[0];
    }
    for (const [id, change] of Object.entries(update.panels ?? {})) {
      const table = document.getElementById(id);
      if (table) patch(table, change, first);
    }
  }

  // -- the connection: only while the tab is seen, for a browser has six per server ---------------

  function connect() {
    let first = true;
    source = new EventSource(document.body.dataset.events);
    source.onopen = () => {
      first = true; // after a loss everything is told again
      state("on", "live");
    };
    source.onmessage = (event) => {
      apply(JSON.parse(event.data), first);
      first = false;
    };
    source.onerror = () => {
      state("lost", "connecting …");
      // A refusal (the exchange is full, or another program listens there) ends an EventSource.
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
    };
  }

  function follow() {
    source?.close();
    source = null;
    if (document.hidden) state("off", "paused");
    else connect();
  }

  // -- forms -------------------------------------------------------------------------------------

  let silence = 0;

  function say(text, look) {
    said.dataset.look = look;
    said.textContent = text;
    clearTimeout(silence);
    silence = setTimeout(() => said.replaceChildren(), look === "done" ? 6000 : 20000);
  }

  async function submit(event) {
    const form = event.target;
    event.preventDefault();
    const button = event.submitter ?? form.querySelector("button");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "application/json" },
      });
      const body = await answer.json();
      say(body.said ?? body.message, answer.ok ? "done" : "failed");
      if (answer.ok && form.dataset.reset) form.elements[form.dataset.reset].value = "";
    } catch {
      say("The exchange cannot be reached.", "failed");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("submit", submit);
  document.addEventListener("keydown", (event) => event.key === "Escape" && said.replaceChildren());
  document.addEventListener("visibilitychange", follow);
  follow();
})();
