// Curves of runs while they train: an element with `data-curves="ADDRESS"` and `data-keys="loss accuracy"` gets a chart
// for each key. The address is asked for what has changed; a run that was resumed may have other lines than before.

import { drawChart, element, styleOf } from "./charts.js";

const whileRunning = 2000, whileStill = 15000;

for (const place of document.querySelectorAll("[data-curves]")) begin(place);

function begin(place) {
  const runs = new Map(); // by name: {status, stamp, epochs, series}
  const hidden = new Set();
  const figures = place.dataset.keys.split(" ").filter(Boolean).map((key) => figureOf(place, key, () => draw()));
  const legend = document.createElement("ul");
  legend.className = "runs-legend";
  place.before(legend);

  const draw = () => {
    const names = [...runs.keys()];
    for (const { key, figure, logarithmic } of figures) {
      const lines = names.flatMap((name, number) => (hidden.has(name) ? [] : linesOf(name, runs.get(name), key, styleOf(number))));
      drawChart(figure, { title: words(key), lines, logarithmic: logarithmic?.checked });
    }
    drawLegend(legend, names, runs, hidden, draw);
  };

  const ask = async () => {
    let next = whileStill;
    try {
      if (!document.hidden) {
        const known = [...runs.values()].map((run) => `&known=${encodeURIComponent(run.stamp)}`).join("");
        const answer = await fetch(place.dataset.curves + known, { headers: { Accept: "application/json" } });
        if (answer.ok && merge(runs, (await answer.json()).runs)) draw();
      }
      if ([...runs.values()].some((run) => run.status === "running")) next = whileRunning;
    } catch {
      // The command was stopped: the charts stay as they are.
    }
    setTimeout(ask, next);
  };
  ask();
}

// Takes what is new, and returns true if anything is.
function merge(runs, answers) {
  let changed = runs.size === 0;
  for (const answer of answers) {
    const before = runs.get(answer.run);
    if (answer.same && before) {
      changed ||= before.status !== answer.status;
      before.status = answer.status;
    } else if (!before || before.stamp !== answer.stamp || before.status !== answer.status) {
      runs.set(answer.run, answer);
      changed = true;
    }
  }
  return changed;
}

function linesOf(name, run, key, style) {
  const points = (values) => (values ?? []).flatMap((value, index) => (value === null ? [] : [[run.epochs[index], value]]));
  const validation = points(run.series?.[`val_${key}`]), training = points(run.series?.[key]);
  const short = name.split("/").at(-1);
  if (!validation.length) return [{ name: short, style, points: training }];
  return [
    { name: short, style, points: validation },
    { name: `${short}, training`, style, points: training, faint: true },
  ];
}

function figureOf(place, key, redraw) {
  const figure = document.createElement("figure");
  figure.className = "curves";
  const caption = document.createElement("figcaption");
  caption.textContent = words(key);
  figure.append(caption);
  let logarithmic;
  if (key.includes("loss") || key === "learning_rate") {
    const choice = document.createElement("label");
    choice.className = "choice";
    logarithmic = document.createElement("input");
    logarithmic.type = "checkbox";
    logarithmic.addEventListener("change", redraw);
    choice.append(logarithmic, "logarithmic");
    caption.append(choice);
  }
  place.append(figure);
  return { key, figure, logarithmic };
}

function drawLegend(legend, names, runs, hidden, draw) {
  const wanted = names.map((name) => `${name} ${runs.get(name).status} ${hidden.has(name)}`).join("|");
  if (legend.dataset.holds === wanted) return;
  const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.run : undefined;
  legend.dataset.holds = wanted;
  legend.replaceChildren(
    ...names.map((name, number) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.dataset.run = name;
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      const swatch = element("svg", { class: `swatch ${styleOf(number)}`, viewBox: "0 0 26 8", width: 26, height: 8, "aria-hidden": "true" });
      swatch.append(element("line", { x1: 0, x2: 26, y1: 4, y2: 4 }));
      button.append(swatch, ` ${name}${runs.get(name).status === "running" ? " (running)" : ""}`);
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        draw();
      });
      item.append(button);
      return item;
    }),
  );
  if (focused) legend.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

function words(key) {
  return key.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
}
