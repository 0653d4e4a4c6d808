"""Configs made to run code, fill memory, loop, or write where they like; each gives the text, or bytes, of a file."""

from __future__ import annotations

MINIMAL = "name: x\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\n"
BOMB = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9))

CONFIGS: dict[str, bytes] = {
    name: text if isinstance(text, bytes) else text.encode()
    for name, text in {
        "alias bomb": "a: &a [lol, lol, lol]\n" + BOMB,
        "quadratic": "a: &a " + "x" * 60_000 + "\nb: [*a, *a, *a, *a]\n",
        "merge keys": "a: &a {name: x}\ndata: {<<: *a}\n",
        "python object": MINIMAL + "seed: !!python/object/apply:os.system ['touch ../evil']\n",
        "python module": MINIMAL + "seed: !!python/module:evil\n",
        "python name": MINIMAL + "seed: !!python/name:os.system\n",
        "custom tag": MINIMAL + "seed: !evil {a: b}\n",
        "deep": MINIMAL + "seed: " + "[" * 10_000 + "]" * 10_000 + "\n",
        "deep mappings": MINIMAL + "seed: " + "{a: " * 5_000 + "}" * 5_000 + "\n",
        "too long": MINIMAL + "#" * 70_000,
        "one key twice": MINIMAL + "name: y\n",
        "not a number": MINIMAL + "training: {optimizer: {learning_rate: .nan}}\n",
        "endless number": MINIMAL + "seed: " + "9" * 50_000 + "\n",
        "base 60": MINIMAL + "seed: 1:30\n",
        "two documents": MINIMAL + "---\n" + MINIMAL,
        "name climbs": MINIMAL.replace("name: x", "name: ../../evil"),
        "name is a path": MINIMAL.replace("name: x", "name: /tmp/evil"),
        "name is dots": MINIMAL.replace("name: x", "name: '..'"),
        "name with an escape": MINIMAL.replace("name: x", 'name: "\\e[2Jx"'),
        "raw escape": MINIMAL + "# \x1b[2J\n",
        "nul": MINIMAL + "\0",
        "not text": b"\xff\xfe\x00" + MINIMAL.encode("utf-16"),
        "extends itself": "extends: c.yaml\n" + MINIMAL,
        "extends a device": "extends: /dev/zero\n" + MINIMAL,
        "extends a folder": "extends: ..\n" + MINIMAL,
        "extends a list": "extends: [c.yaml]\n" + MINIMAL,
        "group that hangs": MINIMAL.replace("images}", 'images, group: "(("}'),
        "layer by module": MINIMAL + "augmentation: {layers: [{os.system: {command: touch}}]}\n",
        "lambda layer": MINIMAL + "augmentation: {layers: [{Lambda: {function: evil}}]}\n",
        "base by module": MINIMAL.replace("small_cnn", "os.system"),
        "optimizer by attribute": MINIMAL + "training: {optimizer: {name: __class__}}\n",
        "format by path": MINIMAL + "export: {formats: [../../evil]}\n",
    }.items()
}
