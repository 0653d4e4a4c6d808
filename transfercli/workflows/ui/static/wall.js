// The wall: parts of the pictures are in the page while they are near the screen, so that ten thousand are as quick as
// one hundred. Arrow keys move between pictures, Enter opens one, Escape closes it.

const rowsOfPart = 12;
const near = "1200px";

const wall = document.getElementById("wall");
const dialog = document.getElementById("picture");
let opened = 0; // the picture in the dialog
if (wall) start();

function start() {
  const count = Number(wall.dataset.count);
  let columns = columnsOf(wall.querySelector(".tiles"));
  let current = 0;
  let rowHeight = 0;
  const parts = [];
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) entry.isIntersecting ? fill(entry.target) : empty(entry.target);
    },
    { rootMargin: near },
  );

  build();
  new ResizeObserver(() => {
    const now = columnsOf(parts[0]);
    if (now !== columns) {
      columns = now;
      build();
    }
  }).observe(wall);

  function build() {
    const tile = wall.querySelector(".tile");
    const first = [...wall.querySelectorAll(".tiles")].find((list) => !list.dataset.from || list.dataset.from === "0");
    const known = [...(first?.children ?? [])].slice(0, size()); // what the page came with stays to be seen
    if (tile) rowHeight = tile.offsetHeight + parseFloat(getComputedStyle(wall.querySelector(".tiles")).rowGap);
    watcher.disconnect();
    parts.length = 0;
    wall.replaceChildren();
    for (let from = 0; from < count; from += size()) {
      const part = document.createElement("ul");
      part.className = "tiles";
      part.dataset.from = from;
      part.style.minHeight = `${Math.ceil(Math.min(size(), count - from) / columns) * rowHeight}px`;
      parts.push(part);
    }
    parts[0].append(...known);
    wall.append(...parts);
    markCurrent();
    for (const part of parts) watcher.observe(part);
  }

  function size() {
    return columns * rowsOfPart;
  }

  async function fill(part) {
    part.dataset.wanted = "1";
    const expected = Math.min(size(), count - Number(part.dataset.from));
    if (part.loading || part.childElementCount === expected) return part.loading;
    const address = `${wall.dataset.address}/tiles?${wall.dataset.query}&from=${part.dataset.from}&count=${size()}`;
    part.loading = fetch(address)
      .then((answer) => (answer.ok ? answer.text() : ""))
      .then((text) => {
        if (part.dataset.wanted) part.innerHTML = text; // made by the server from a template that escapes
        markCurrent();
      })
      .catch(() => {}) // the command was stopped
      .finally(() => {
        part.loading = null;
      });
    return part.loading;
  }

  function empty(part) {
    delete part.dataset.wanted;
    if (!part.contains(document.activeElement)) part.replaceChildren();
  }

  function tileOf(index) {
    return wall.querySelector(`.tile[data-index="${index}"]`);
  }

  function markCurrent() {
    for (const tile of wall.querySelectorAll('.tile[tabindex="0"]')) tile.tabIndex = -1;
    const tile = tileOf(current) ?? wall.querySelector(".tile");
    if (tile) tile.tabIndex = 0;
  }

  async function moveTo(index, focus = true) {
    current = Math.max(0, Math.min(count - 1, index));
    const part = parts[Math.floor(current / size())];
    await fill(part);
    markCurrent();
    const tile = tileOf(current);
    if (!tile) return null;
    if (focus) tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
    return tile;
  }

  const steps = () => ({
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: columns,
    ArrowUp: -columns,
    PageDown: 4 * columns,
    PageUp: -4 * columns,
    Home: -count,
    End: count,
  });

  wall.addEventListener("keydown", (event) => {
    const step = steps()[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moveTo(current + step);
  });

  wall.addEventListener("focusin", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) {
      current = Number(tile.dataset.index);
      markCurrent();
    }
  });

  wall.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) open(tile);
  });

  dialog.addEventListener("keydown", async (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const tile = await moveTo(opened + step, false);
    if (tile) open(tile);
  });

  dialog.addEventListener("close", () => moveTo(opened)); // the browser goes back to the picture that was opened first
}

function columnsOf(list) {
  return getComputedStyle(list).gridTemplateColumns.split(" ").length;
}

async function open(tile) {
  const sha = tile.dataset.sha;
  if (!sha) return;
  opened = Number(tile.dataset.index);
  const answer = await fetch(`${wall.dataset.address}/image/${sha}`);
  if (!answer.ok) return;
  const facts = await answer.json();
  const find = (id) => document.getElementById(id);
  find("picture-title").textContent = facts.path;
  find("picture-large").src = `${wall.dataset.address}/picture/${sha}/large`;
  find("picture-large").alt = facts.path;
  const words = (labels) => labels.join(", ") || "no label";
  const verdict = { true: "right", false: "wrong", null: "" }[facts.right];
  find("picture-facts").textContent = `True: ${words(facts.true)}. Predicted: ${words(facts.predicted)}${verdict && ", " + verdict}.`;
  find("picture-top").replaceChildren(
    ...facts.top.map(([label, probability]) => {
      const item = document.createElement("li");
      item.textContent = `${label} ${(100 * probability).toFixed(1)}%`;
      return item;
    }),
  );
  const heat = find("picture-heat");
  heat.hidden = true;
  find("picture-actions").replaceChildren(
    ...facts.heat.map(([label, address]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Heat map for ${label}`;
      button.addEventListener("click", () => showHeat(heat, label, address));
      return button;
    }),
  );
  if (!dialog.open) dialog.showModal();
}

function showHeat(figure, label, address) {
  const [image, words] = [figure.querySelector("img"), figure.querySelector("figcaption")];
  figure.hidden = false;
  image.hidden = true;
  words.textContent = `Computing the heat map for ${label}; the first one loads the network…`;
  image.onload = () => {
    image.hidden = false;
    image.alt = `heat map for ${label}`;
    words.textContent = `What speaks for ${label}: bright regions most`;
  };
  image.onerror = () => {
    words.textContent = "The heat map could not be made: the terminal has the reason, or try again in a moment";
  };
  image.src = address;
}
