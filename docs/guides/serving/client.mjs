// Ask a model about image files, with the fetch of Node 18 and later; a browser has the same.
//   node client.mjs http://127.0.0.1:8500 flowers photo.jpg other.png
// The token, if the server asks for one, is in the file that TRANSFERCLI_TOKEN_FILE names.
import { readFile } from "node:fs/promises";

const TRIES = 5;

async function ask(address, model, content, headers) {
  for (let tries = 1; ; tries++) {
    const answer = await fetch(`${address}/predict/${encodeURIComponent(model)}`, {
      method: "POST",
      body: content,
      headers: { "Content-Type": "application/octet-stream", ...headers },
      signal: AbortSignal.timeout(60_000),
    });
    if (answer.status !== 503 || tries === TRIES) return answer;
    await answer.arrayBuffer(); // read to its end, or the connection cannot be used again
    const seconds = Number(answer.headers.get("Retry-After") ?? 1);
    await new Promise((resume) => setTimeout(resume, 1000 * seconds));
  }
}

const [address, model, ...files] = process.argv.slice(2);
const tokenFile = process.env.TRANSFERCLI_TOKEN_FILE;
const headers = tokenFile ? { Authorization: `Bearer ${(await readFile(tokenFile, "ascii")).trim()}` } : {};
for (const file of files) {
  const answer = await ask(address, model, await readFile(file), headers);
  const found = await answer.json();
  console.log(file, answer.ok ? `${found.label} ${found.probability.toFixed(4)}` : found.error.message);
  if (!answer.ok) process.exitCode = 1;
}
