// The try-out: a picture is dropped, pasted, chosen or taken; the answer, its heat map and the nearest training images
// come from this server. The picture is posted to it, and to nothing else.

const find = (id) => document.getElementById(id);
const address = find("input").dataset.address;
const secret = document.querySelector('meta[name="csrf-token"]').content;
const pollMs = 1000;
let asked = 0; // the picture that is answered now; answers to earlier ones are dropped
let stream = null;
let shown = "";

load();

async function load() {
  const answer = await fetch(`${address}/ready`).catch(() => null);
  if (asked) return;
  say(answer?.ok ? "The network is ready." : await problemOf(answer), !answer?.ok);
}

find("choose").addEventListener("click", () => find("file").click());
find("file").addEventListener("change", () => {
  if (find("file").files[0]) ask(find("file").files[0]);
  find("file").value = "";
});

const drop = find("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser would leave the page for the picture
  if (event.dataTransfer.files[0]) ask(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files[0]) ask(event.clipboardData.files[0]);
});

find("camera").addEventListener("click", async () => {
  if (!navigator.mediaDevices) return say("A browser opens the camera on localhost and with HTTPS only.", true);
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    return say(`The camera cannot be used: ${error.message}`, true);
  }
  find("video").srcObject = stream;
  find("viewfinder").hidden = false;
  await find("video").play();
  find("take").focus();
});
find("take").addEventListener("click", () => {
  const video = find("video");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  stopCamera();
  canvas.toBlob((blob) => blob && ask(blob), "image/png");
});
find("stop").addEventListener("click", stopCamera);
addEventListener("pagehide", stopCamera);

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  find("video").srcObject = null;
  if (!find("viewfinder").hidden) find("camera").focus();
  find("viewfinder").hidden = true;
}

async function ask(picture) {
  const mine = ++asked;
  say("Working…");
  find("neighbours").hidden = true;
  const answer = await post("answer", picture);
  if (mine !== asked) return;
  if (!answer?.ok) {
    find("answer").hidden = true;
    return say(await problemOf(answer), true);
  }
  show(await answer.json(), picture);
  say("Answered.");
  showNearest(mine, picture);
}

function post(what, picture) {
  const headers = { "Content-Type": "application/octet-stream", "X-CSRF-Token": secret };
  return fetch(`${address}/${what}`, { method: "POST", headers, body: picture }).catch(() => null);
}

function show(answer, picture) {
  URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(picture);
  find("preview").src = shown;
  const percent = (value) => `${(100 * value).toFixed(1)}%`;
  const names = answer.labels ? answer.labels.map(([label]) => label).join(", ") || "No label" : answer.label;
  find("answer-title").textContent =
    answer.value === undefined ? `${names}${answer.labels ? "" : ", " + percent(answer.probability)}` : `${answer.value}`;
  const notes = [];
  if (answer.strange) notes.push("It is unlike the training images.");
  if (answer.abstained) notes.push("The model abstains: it is not sure enough.");
  find("answer-note").textContent = notes.join(" ");
  find("top").replaceChildren(...(answer.top ?? []).map(([label, probability]) => {
    const item = document.createElement("li");
    const [name, meter, number] = ["span", "meter", "span"].map((tag) => document.createElement(tag));
    name.textContent = label;
    meter.value = probability;
    meter.setAttribute("aria-label", label);
    number.textContent = percent(probability);
    item.append(name, meter, number);
    return item;
  }));
  const heat = find("heat");
  heat.hidden = !answer.heat;
  if (answer.heat) {
    heat.querySelector("img").src = answer.heat;
    heat.querySelector("img").alt = `heat map for ${answer.heat_of}`;
    heat.querySelector("figcaption").textContent = `What speaks for ${answer.heat_of}: bright regions most`;
  }
  find("answer").hidden = false;
  find("answer-title").focus({ preventScroll: true });
  find("answer").scrollIntoView({ block: "nearest" });
}

async function showNearest(mine, picture) {
  const state = find("neighbours-state");
  find("nearest").replaceChildren();
  find("neighbours").hidden = false;
  state.textContent = "Searching…";
  for (;;) {
    const answer = await post("nearest", picture);
    if (mine !== asked) return;
    if (answer?.status === 202) {
      const { stage } = await answer.json();
      state.textContent = `The training images are read for the first time${stage ? `: ${stage}` : ""}…`;
      await new Promise((done) => setTimeout(done, pollMs));
      continue;
    }
    if (!answer?.ok) {
      state.textContent = await problemOf(answer);
      return;
    }
    const { nearest } = await answer.json();
    if (mine !== asked) return;
    state.textContent = "";
    find("nearest").replaceChildren(...nearest.map(tile));
    return;
  }
}

function tile(image) {
  const item = document.createElement("li");
  const figure = document.createElement("figure");
  const picture = document.createElement("img");
  const words = document.createElement("figcaption");
  const small = document.createElement("small");
  picture.src = image.picture;
  picture.alt = image.path;
  words.textContent = image.label;
  small.textContent = `similarity ${image.similarity.toFixed(3)}, ${image.split}`;
  words.append(small);
  figure.append(picture, words);
  item.append(figure);
  return item;
}

function say(text, bad = false) {
  find("state").textContent = text;
  find("state").classList.toggle("bad", bad);
}

async function problemOf(answer) {
  if (!answer) return "No answer: the command may have been stopped.";
  if (answer.status === 413) return "This picture is too large.";
  try {
    const { error } = await answer.json();
    return [error.message, error.hint].filter(Boolean).join("; ");
  } catch {
    return `The server answered with ${answer.status}.`;
  }
}
