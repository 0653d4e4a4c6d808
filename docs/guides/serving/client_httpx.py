"""Ask a model about many image files at once, with httpx (pip install httpx).

python client_httpx.py http://127.0.0.1:8500 flowers photos/*.jpg
python client_httpx.py unix:/run/transfercli/serve.sock flowers photos/*.jpg

The server gathers simultaneous requests into batches, so several at once are faster than one after another.
"""

import asyncio
import os
import sys
from pathlib import Path

import httpx

AT_ONCE, TRIES, SECONDS = 16, 5, 60


async def ask(client, model, file):
    for last in (False,) * (TRIES - 1) + (True,):
        content = await asyncio.to_thread(Path(file).read_bytes)
        answer = await client.post(f"/predict/{model}", content=content)
        if answer.status_code != 503 or last:
            return answer
        await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
    raise AssertionError


async def main(address, model, *files):
    socket = address.removeprefix("unix:") if address.startswith("unix:") else None
    headers = {"Content-Type": "application/octet-stream"}
    if token_file := os.environ.get("TRANSFERCLI_TOKEN_FILE"):
        headers["Authorization"] = f"Bearer {Path(token_file).read_text().strip()}"
    async with httpx.AsyncClient(
        base_url="http://localhost" if socket else address,
        transport=httpx.AsyncHTTPTransport(uds=socket, retries=1),  # retries: of the connection, not of an answer
        headers=headers,
        timeout=SECONDS,
    ) as client:
        free = asyncio.Semaphore(AT_ONCE)

        async def limited(file):
            async with free:
                return await ask(client, model, file)

        answers = await asyncio.gather(*map(limited, files))
    for file, answer in zip(files, answers, strict=True):
        found = answer.json()
        text = f"{found['label']} {found['probability']:.4f}" if answer.is_success else found["error"]["message"]
        print(file, text)
    return int(not all(answer.is_success for answer in answers))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
