#!/usr/bin/env python3
"""Pins the Python packages that a requirements.in asks for: all that they need, by version and by the hashes of their Linux wheels.

usage: pin.py FILE.in [uv's options…]      writes FILE.txt beside it; needs uv and Python 3.11. Without options for CPython from 3.11 on.
"""
import re
import subprocess
import sys
import tomllib

source, options = sys.argv[1], sys.argv[2:] or ["--universal"]
command = ["uv", "pip", "compile", source, "--python-version", "3.11", "--format", "pylock.toml", "--quiet", *options]
lock = tomllib.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
WHEEL = re.compile(r"-(py2\.py3|py3|(cp3\d+|py3)-abi3|cp31[1-4]-cp31[1-4])(-none)?-(any|.*manylinux.*(x86_64|aarch64).*)\.whl$")

with open(source.removesuffix(".in") + ".txt", "w") as out:
    out.write(f"# Made by tools/pin.py of {source.rsplit('/', 1)[-1]}.\n")
    for package in lock["packages"]:
        names = {wheel["hashes"]["sha256"]: wheel.get("name") or wheel["url"].rsplit("/", 1)[-1] for wheel in package.get("wheels", [])}
        hashes = sorted(hash for hash, name in names.items() if WHEEL.search(name))
        if not hashes and "win32" in package.get("marker", ""):
            continue
        assert hashes, f"{package['name']} {package['version']} has no wheel for Linux: {list(names.values())}"
        # True of every Python that is good enough.
        marker = re.sub(r"^python_full_version >= '3\.11'( and )?", "", package.get("marker", ""))
        marker = f" ; {marker}" if marker else ""
        out.write(f"{package['name']}=={package['version']}{marker}" + "".join(f" \\\n    --hash=sha256:{hash}" for hash in hashes) + "\n")
