// Label review: one image after the other. Each decision is sent at once, and the next image is shown when the server
// has stored it. The queue is a list of numbers; all that is known of an image is asked for when its turn comes.

const root = document.getElementById("review");
const address = root.dataset.address;
const changes = "changes" in root.dataset;
const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
const part = (id) => document.getElementById(id);
const wait = 1000; // milliseconds between two questions to a search that goes on
const digit = /^[0-9]$/;
const small = 200; // pixels of a picture that is shown with visible pixels

let search; // state of the search: queues, labels, snapshot
let queueName = "";
let rows = []; // the queue
let place = 0; // in it
let image = null; // the present one, as the server describes it
let chosen = new Set(); // labels, if an image may have several
let done = []; // the decisions of this page in their order, for undo: place in the queue, name of the decision
let busy = false;
let drawn = 0; // number of the last call of draw: an answer to an earlier one comes too late
let refused = 0; // status of the last request that was refused

start();

async function start() {
  listen();
  try {
    part("who") && (part("who").value ||= localStorage.getItem("reviewer") ?? "");
  } catch {
    // A browser may refuse to store anything: the name is then given once a page.
  }
  while (true) {
    search = await ask("/state");
    if (search?.state === "done") break;
    if (search?.state === "failed") return fail(search);
    part("search-state").textContent = search?.stage || "Waiting for other work.";
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  part("search").hidden = true;
  part("more").hidden = false;
  part("classes")?.replaceChildren(...search.labels.map((label) => element("option", { value: label })));
  if (search.several && changes) part("choice-name").textContent = "Add or remove a label";
  if (search.note) show("note", search.note);
  part("warnings").hidden = !search.warnings.length;
  part("warnings").replaceChildren(...search.warnings.map((text) => element("p", { textContent: text })));
  const wanted = new URLSearchParams(location.search).get("queue");
  const first = search.queues.find((queue) => queue.name === wanted) ?? search.queues.find((queue) => queue.open) ?? search.queues[0];
  await open(first.name);
}

async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
    body: JSON.stringify(body),
  };
  try {
    const answer = await fetch(address + path, options ?? {});
    const content = await answer.json();
    if (answer.ok) return content;
    refused = answer.status;
    say([content.error?.message, content.error?.hint].filter(Boolean).join("; "), true);
  } catch {
    say("The server does not answer: nothing was stored. Is transfercli ui still running?", true);
  }
  return null;
}

// -- queues

async function open(name) {
  const queue = await ask(`/queues/${name}`);
  if (!queue) return;
  queueName = name;
  rows = queue.rows;
  place = 0;
  done = [];
  history.replaceState(null, "", `?queue=${name}`);
  drawQueues(name);
  progress(search.progress);
  await draw();
}

function drawQueues(current) {
  const items = search.queues.map((queue) => {
    const link = element("a", { href: `?queue=${queue.name}`, textContent: `${queue.title} ` });
    link.append(element("small", { textContent: `(${queue.name === current ? rows.length : queue.open})` }));
    if (queue.name === current) link.setAttribute("aria-current", "true");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      open(queue.name).then(() => part("queues").querySelector('[aria-current="true"]').focus());
    });
    const item = element("li");
    item.append(link);
    return item;
  });
  part("queues").hidden = false;
  part("queues").querySelector("ul").replaceChildren(...items);
}

// -- the image

async function draw() {
  const number = ++drawn;
  image = null; // until the next one is shown, a key may not decide on the one before
  const over = place >= rows.length;
  part("item").hidden = over;
  part("end").hidden = !over;
  if (over) {
    part("end-text").textContent = rows.length ? "All of its images were shown. Load the page again for those that were skipped." : "Choose another queue above.";
    if (rows.length) part("end-title").focus();
    return;
  }
  const found = await ask(`/images/${rows[place]}`);
  if (!found || number !== drawn) return;
  image = found;
  chosen = new Set(search.several ? image.label : []);
  part("item-title").textContent = `Image ${place + 1} of ${rows.length}`;
  part("path").textContent = image.path;
  part("facts").textContent = [image.split, `${image.size[0]}×${image.size[1]}`, copies()].filter(Boolean).join(" · ");
  const reasons = [...new Set([queueName, "likely", "conflicts"])].map((name) => image.reasons[name]).filter(Boolean);
  part("reasons").replaceChildren(...reasons.map((text) => element("li", { textContent: text })));
  drawPicture();
  drawLabels();
  drawNearest();
  const next = rows[place + 1];
  if (next !== undefined) new Image().src = picture(next); // in the browser's cache by its turn
}

function copies() {
  const count = image.copies.length;
  return count ? `decided together with ${count} ${count > 1 ? "copies" : "copy"}: ${image.copies.slice(0, 3).join(", ")}` : "";
}

function picture(row) {
  return `${address}/images/${row}/picture?v=${search.snapshot}`;
}

function drawPicture() {
  const frame = part("picture");
  frame.alt = `Image ${image.path}`;
  frame.className = Math.max(...image.size) < small ? "small" : "";
  frame.src = picture(image.row);
}

function drawLabels() {
  const label = search.several ? words([...chosen]) + unjudged() : image.label;
  part("label").textContent = label + (image.decided ? ` (decided${image.who ? ` by ${image.who}` : ""})` : "");
  const known = new Map(image.answers);
  const offered = search.several ? [...new Set([...image.label, ...chosen, ...known.keys()])] : [...known.keys()];
  part("answers-part").hidden = !offered.length;
  part("answers").replaceChildren(...offered.map((name, index) => answer(name, known.get(name), keyOf(name, index, offered))));
  if (changes) part("keep").firstChild.textContent = changed() ? "Save " : "Keep ";
}

// A label that is named by a digit has this key, in the list or not; the others have that of their place, if it is free.
function keyOf(name, index, offered) {
  const key = String(index + 1);
  if (digit.test(name)) return name;
  return index < 9 && !search.labels.includes(key) && !offered.includes(key) ? key : "";
}

function answer(name, probability, key) {
  const inner = element(changes ? "button" : "span", { className: "answer" });
  if (changes) {
    inner.type = "button";
    inner.setAttribute("aria-pressed", String(search.several ? chosen.has(name) : name === image.label));
    if (key) inner.setAttribute("aria-keyshortcuts", key);
    inner.addEventListener("click", () => choose(name));
  }
  inner.append(element("span", { textContent: name }));
  inner.append(element("span", { textContent: probability === undefined ? "" : `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)}%` }));
  if (changes && key) inner.append(element("kbd", { textContent: key }));
  const item = element("li");
  item.append(inner);
  return item;
}

function drawNearest() {
  part("nearest-part").hidden = !image.nearest.length;
  const items = image.nearest.map((near) => {
    const figure = element("figure");
    figure.append(element("img", { src: `${picture(near.row)}&small`, alt: near.path, loading: "lazy", className: "small" }));
    figure.append(element("figcaption", { textContent: near.label }));
    const item = element("li");
    item.append(figure);
    return item;
  });
  part("nearest").replaceChildren(...items);
}

// -- decisions

function chooseByKey(key) {
  const button = part("answers").querySelector(`[aria-keyshortcuts="${key}"]`);
  if (button) return button.click();
  if (search.labels.includes(key)) choose(key);
}

function choose(name) {
  if (!image) return;
  if (!search.several) return decide(name);
  chosen.has(name) ? chosen.delete(name) : chosen.add(name);
  drawLabels();
}

function changed() {
  return search.several && (chosen.size !== image.label.length || image.label.some((label) => !chosen.has(label)));
}

function keep() {
  return image && decide(search.several ? [...chosen] : image.label);
}

async function decide(label) {
  if (busy || !image) return;
  busy = true;
  const before = image;
  const stored = await ask("/decisions", { snapshot: search.snapshot, row: image.row, label, who: reviewer() });
  busy = false;
  if (!stored) return; // the message says why, and the image stays
  done.push({ place, decision: stored.decision });
  place += 1;
  say(`${before.path}: ${words(stored.label)}${words(stored.label) === words(before.label) ? " kept" : `, was ${words(before.label)}`}`);
  progress(stored.progress);
  await next();
}

async function skip() {
  if (busy || place >= rows.length) return;
  place += 1;
  say("Skipped.");
  await next();
}

async function back() {
  if (busy || !place) return;
  place -= 1;
  await next();
}

async function undo() {
  if (busy || !done.length) return;
  busy = true;
  const last = done.at(-1);
  refused = 0;
  const stored = await ask("/undo", { snapshot: search.snapshot, row: rows[last.place], decision: last.decision, who: reviewer() });
  busy = false;
  if (!stored && refused === 409) done.pop(); // another page decided since: what was before it can still be taken back
  if (part("undo")) part("undo").disabled = !done.length;
  if (!stored) return;
  done.pop();
  place = last.place;
  say(`${stored.path}: the decision is taken back, ${words(stored.label)} again.`);
  progress(stored.progress);
  await next();
}

async function next() {
  if (part("undo")) part("undo").disabled = !done.length;
  await draw();
}

function words(label) {
  return Array.isArray(label) ? label.join(", ") || "no label" : label;
}

function unjudged() {
  const names = image.unknown.filter((name) => !chosen.has(name));
  return names.length ? ` (unknown: ${names.join(", ")})` : "";
}

function reviewer() {
  const name = part("who")?.value.trim() ?? "";
  try {
    localStorage.setItem("reviewer", name);
  } catch {
    // As above.
  }
  return name;
}

function progress(numbers) {
  if (!numbers) return;
  part("progress").max = Math.max(1, numbers.images);
  part("progress").value = numbers.decided;
  part("progress-text").textContent = `${numbers.decided.toLocaleString("en")} of ${numbers.images.toLocaleString("en")} images decided, all stored.`;
}

// -- keys, buttons, messages

function listen() {
  const buttons = { keep, skip, undo, back };
  for (const [id, act] of Object.entries(buttons)) part(id)?.addEventListener("click", act);
  part("change")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = part("choice").value.trim();
    if (!name) return;
    if (!search.labels.includes(name)) return say(`${name} is no class of the data: choose one of the list.`, true);
    part("choice").value = "";
    part("choice").blur();
    part("item-title").focus({ preventScroll: true });
    choose(name);
  });
  const keys = { k: keep, s: skip, u: undo, b: back, c: () => part("choice")?.focus() };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape" && event.target === part("choice")) return part("item-title").focus();
    if (typing || !part("keys").checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat || !image) {
      if (event.key === "u" && !image && !typing && part("keys").checked && changes) undo();
      return;
    }
    const act = changes && digit.test(event.key) ? () => chooseByKey(event.key) : keys[event.key.toLowerCase()];
    if (!act || (!changes && !"sb".includes(event.key))) return;
    event.preventDefault();
    act();
  });
}

function say(text, failed = false) {
  const message = part("item").hidden ? part("search-state") : part("message");
  message.textContent = text;
  message.className = failed ? "bad" : "note";
}

function fail(state) {
  part("search-title").textContent = "The labels cannot be reviewed";
  part("search-state").textContent = [state.message, state.hint].filter(Boolean).join("; ");
  part("search").className = "verdict failed";
  part("retry").hidden = false;
}

function show(id, text) {
  part(id).textContent = text;
  part(id).hidden = false;
}

function element(name, values = {}) {
  return Object.assign(document.createElement(name), values);
}
