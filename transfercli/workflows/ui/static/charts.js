// Line charts as SVG: lines of several runs over their epochs, drawn in the colours of the page.
// The arrow keys, Home and End move a mark over the epochs of a chart; its values stand below the chart.

const space = "http://www.w3.org/2000/svg";
const width = 480, height = 270, left = 52, right = 12, top = 12, bottom = 36;
const styles = 18; // runs with a line of their own: six colours, three dashes

// lines: [{name, style, points: [[x, y]...], faint}]; x whole numbers in rising order.
export function drawChart(figure, { title, lines, logarithmic = false }) {
  const shown = lines.filter((line) => line.points.length > 0);
  const values = shown.flatMap((line) => line.points.map((point) => point[1])).filter((y) => !logarithmic || y > 0);
  const svg = figure.querySelector("svg") ?? begin(figure);
  const note = figure.querySelector(".values");
  if (!values.length) {
    svg.replaceChildren();
    svg.setAttribute("aria-label", `${title}: no values yet`);
    note.textContent = "No values yet.";
    return;
  }
  const epochs = [...new Set(shown.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
  const across = scale(epochs[0], epochs.at(-1), left + 6, width - right - 6);
  const ticks = logarithmic ? powers(values) : niceTicks(Math.min(...ends(values)[0]), Math.max(...ends(values)[1]));
  const read = logarithmic ? Math.log10 : (y) => y;
  const up = scale(read(ticks[0]), read(ticks.at(-1)), height - bottom, top);
  const parts = [];
  for (const tick of ticks) {
    const y = up(read(tick));
    parts.push(element("line", { x1: left, x2: width - right, y1: y, y2: y }));
    parts.push(text(left - 6, y + 4, label(tick), "end"));
  }
  for (const tick of niceTicks(epochs[0], epochs.at(-1)).filter((x) => Number.isInteger(x) && x >= epochs[0] && x <= epochs.at(-1))) {
    parts.push(text(across(tick), height - bottom + 16, label(tick), "middle"));
  }
  parts.push(text((left + width - right) / 2, height - 3, "epoch", "middle"));
  const place = ([x, y]) => [across(x), up(read(logarithmic ? Math.max(y, ticks[0]) : y))];
  for (const line of [...shown].reverse()) parts.push(drawLine(line, line.points.map(place)));
  svg.replaceChildren(...parts);
  svg.setAttribute("aria-label", `${title} of ${shown.filter((line) => !line.faint).length} runs, epochs ${epochs[0]} to ${epochs.at(-1)}; arrow keys read the values`);
  figure.chart = { svg, note, epochs, across, lines: shown };
  showEpoch(figure, Math.min(figure.chosen ?? epochs.length - 1, epochs.length - 1), figure.chosen !== undefined);
}

function begin(figure) {
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", tabindex: 0 });
  const note = document.createElement("p");
  note.className = "values note";
  note.setAttribute("role", "status");
  figure.append(svg, note);
  svg.addEventListener("keydown", (event) => {
    const { epochs } = figure.chart ?? {};
    const now = figure.chosen ?? (epochs?.length ?? 1) - 1;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: epochs?.length - 1, PageUp: now - 10, PageDown: now + 10 }[event.key];
    if (!epochs || next === undefined) return;
    event.preventDefault();
    showEpoch(figure, Math.max(0, Math.min(epochs.length - 1, next)), true);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!figure.chart) return;
    const box = svg.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * width;
    const { epochs, across } = figure.chart;
    let nearest = 0;
    epochs.forEach((epoch, index) => {
      if (Math.abs(across(epoch) - x) < Math.abs(across(epochs[nearest]) - x)) nearest = index;
    });
    showEpoch(figure, nearest, true);
  });
  return svg;
}

function showEpoch(figure, index, mark) {
  const { svg, note, epochs, across, lines } = figure.chart;
  if (mark) figure.chosen = index;
  svg.querySelector(".cursor")?.remove();
  if (mark) {
    const x = across(epochs[index]);
    svg.append(element("line", { class: "cursor", x1: x, x2: x, y1: top, y2: height - bottom }));
  }
  const values = lines.flatMap((line) => {
    const point = mark ? line.points.find(([x]) => x === epochs[index]) : !line.faint && line.points.at(-1);
    return point ? [`${line.name} ${precise(point[1])}`] : [];
  });
  const words = `${mark ? `Epoch ${epochs[index]}` : "Last values"}: ${values.slice(0, 12).join("; ")}${values.length > 12 ? `; ${values.length - 12} more` : ""}`;
  if (note.textContent !== words) note.textContent = words;
}

function drawLine(line, points) {
  const group = element("g", { class: `run ${line.style}${line.faint ? " faint" : ""}` });
  group.append(element("title", {}, line.name));
  const d = points.map(([x, y], number) => `${number ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  group.append(element("path", { class: "curve", d }));
  if (points.length === 1) group.append(element("circle", { class: "dot", cx: points[0][0], cy: points[0][1], r: 3 }));
  return group;
}

export function styleOf(number) {
  return number < styles ? `c${number % 6} d${Math.floor(number / 6)}` : "rest";
}

export function element(name, attributes, words) {
  const found = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (words !== undefined) found.textContent = words;
  return found;
}

function text(x, y, words, anchor) {
  return element("text", { class: anchor, x, y }, words);
}

function scale(low, high, start, end) {
  return (value) => start + (end - start) * (high > low ? (value - low) / (high - low) : 0.5);
}

// The smallest and the largest value; a few wild ones far above the others do not flatten the curves.
function ends(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const most = sorted.at(-1), usual = sorted[Math.floor(0.98 * (sorted.length - 1))];
  return [[sorted[0]], [most > 10 * Math.abs(usual) && usual > 0 ? 2 * usual : most]];
}

function niceTicks(low, high) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, number) => Number(((first + number) * step).toPrecision(12)));
}

function powers(values) {
  const low = Math.floor(Math.log10(Math.min(...ends(values)[0]))), high = Math.ceil(Math.log10(Math.max(...ends(values)[1])));
  return Array.from({ length: Math.max(high, low + 1) - low + 1 }, (_, number) => 10 ** (low + number));
}

function label(value) {
  return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(0) : String(Number(value.toPrecision(6)));
}

function precise(value) {
  return Number(value.toPrecision(4)).toString();
}
