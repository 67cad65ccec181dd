"use strict";
(() => {
  /* A live part of a page: the server sends it once a second if it changed. Only what changed is replaced and marked
     for a second; what is open stays open, and the keyboard stays where it is. */
  const stream = document.querySelector("[data-stream]");
  const state = document.querySelector("[data-stream-state]");
  const keyed = (root) => new Map([...root.querySelectorAll("[data-key]")].map((part) => [part.dataset.key, part]));
  const texts = (part) => new Map([...part.querySelectorAll("[data-watch]")].map((cell) => [cell.dataset.h, cell.textContent]));
  const steps = (part) => [...part.querySelectorAll("a, button, input, summary")];
  const source = new Map();
  const sources = (parts) => { source.clear(); for (const [key, part] of parts) source.set(key, part.outerHTML); };
  const isBeingRead = () => {
    const selection = getSelection();
    return !selection.isCollapsed && stream.contains(selection.anchorNode);
  };
  const mark = (part, before) => {
    for (const cell of part.querySelectorAll("[data-watch]")) {
      const was = before.get(cell.dataset.h);
      if (was !== undefined && was !== cell.textContent) {
        cell.classList.add("changed");
        setTimeout(() => cell.classList.remove("changed"), 1000);
      }
    }
  };
  const show = (html) => {
    if (isBeingRead()) return;
    const made = document.createElement("template");
    made.innerHTML = html;
    const old = keyed(stream), parts = keyed(made.content);
    const htmls = new Map([...parts].map(([key, part]) => [key, part.outerHTML]));
    const holder = stream.contains(document.activeElement) && document.activeElement.closest("[data-key]");
    const at = holder ? [holder.dataset.key, steps(holder).indexOf(document.activeElement)] : null;
    const befores = new Map([...old].map(([key, part]) => [key, texts(part)]));
    for (const [key, part] of parts) if (old.has(key) && old.get(key).open) part.open = true;
    if ([...old.keys()].join("\n") === [...parts.keys()].join("\n")) {
      for (const [key, part] of parts) if (source.get(key) !== htmls.get(key)) old.get(key).replaceWith(part);
    } else {
      stream.replaceChildren(made.content);
    }
    source.clear();
    for (const [key, text] of htmls) source.set(key, text);
    for (const [key, part] of keyed(stream)) if (befores.has(key)) mark(part, befores.get(key));
    const now = at && keyed(stream).get(at[0]);
    if (now && !now.contains(document.activeElement)) steps(now)[at[1]]?.focus({ preventScroll: true });
  };
  const inWords = (ms) => {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    if (seconds < 60) return seconds + " s";
    return seconds < 3600 ? Math.floor(seconds / 60) + " min" : Math.floor(seconds / 3600) + " h";
  };
  const tick = (time) => {
    state.textContent = "live, " + time.slice(11, 19) + " UTC";
    state.className = "stream quiet";
    for (const one of stream.querySelectorAll("[data-since]")) {
      one.textContent = inWords(Date.parse(time) - one.dataset.since) + " ago";
    }
  };
  const trouble = (text) => { state.textContent = "✖ " + text; state.className = "stream broken"; };
  if (stream) {
    sources(keyed(stream));
    const events = new EventSource(stream.dataset.stream);
    events.addEventListener("page", (event) => { show(event.data); });
    events.addEventListener("time", (event) => { tick(event.data); });
    events.addEventListener("problem", (event) => { trouble(event.data); });
    events.onerror = () => { trouble("not connected; what stands here may be old. Trying again."); };
    addEventListener("pagehide", () => events.close());
  }

  /* The chart: a crosshair reads every mark; arrow keys step from record to record. */
  for (const chart of document.querySelectorAll("svg.chart")) {
    const marks = [...chart.querySelectorAll("a[data-read]")];
    const readout = document.getElementById(chart.dataset.readout);
    const cross = chart.querySelector(".cross");
    const read = (mark) => {
      readout.textContent = mark.dataset.read;
      chart.classList.add("read");
      cross.setAttribute("x1", mark.dataset.x);
      cross.setAttribute("x2", mark.dataset.x);
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      const near = marks.reduce((best, mark) => Math.abs(mark.dataset.x - x) < Math.abs(best.dataset.x - x) ? mark : best, marks[0]);
      if (near) read(near);
    });
    marks.forEach((mark, place) => {
      mark.addEventListener("focus", () => read(mark));
      mark.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1, Home: -place, End: marks.length - 1 - place }[event.key];
        const next = step === undefined ? undefined : marks[place + step];
        if (next) { event.preventDefault(); next.focus(); }
      });
      mark.setAttribute("tabindex", place === marks.length - 1 ? "0" : "-1");
    });
  }

  /* A link to a fact opens the section that holds it. */
  const open = () => {
    const found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!found) return;
    for (let at = found; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    found.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", open);
  open();

  for (const button of document.querySelectorAll("[data-print]")) {
    button.addEventListener("click", () => print());
  }
})();
