"use strict";
(() => {
  /* The desk: the server sends the whole desk once a second if it changed; what changed is marked for a second. */
  const stream = document.querySelector("[data-stream]");
  const state = document.querySelector("[data-stream-state]");
  const texts = () => new Map([...stream.querySelectorAll("[data-watch]")].map((cell) => [placeOf(cell), cell.textContent]));
  const placeOf = (cell) => cell.closest("[data-key]").dataset.key + " " + cell.dataset.h;
  const scrolled = () => window.getSelection().isCollapsed === false || stream.contains(document.activeElement);
  const show = (html) => {
    if (scrolled()) return; /* somebody reads or steps through it with the keyboard */
    const before = texts();
    stream.innerHTML = html;
    if (!before.size) return;
    for (const cell of stream.querySelectorAll("[data-watch]")) {
      const was = before.get(placeOf(cell));
      if (was !== undefined && was !== cell.textContent) {
        cell.classList.add("changed");
        setTimeout(() => cell.classList.remove("changed"), 1000);
      }
    }
  };
  if (stream) {
    const events = new EventSource(stream.dataset.stream);
    events.addEventListener("desk", (event) => { show(event.data); });
    events.addEventListener("time", (event) => { state.textContent = "live, " + event.data + " UTC"; state.className = "stream quiet"; });
    events.addEventListener("problem", (event) => { state.textContent = "✖ " + event.data; state.className = "stream broken"; });
    events.onerror = () => { state.textContent = "✖ not connected; what stands here may be old. Trying again."; state.className = "stream broken"; };
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
