#!/usr/bin/env python3
"""Does the page do what a person expects? Drives the real page of the real program in a headless Chromium.

Usage: page.py ASKANCE [--shots FOLDER]. Exit status 0 if it does, 1 with what went wrong, 77 without a Chromium.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chromium import Browser, Failure, program

FILES = {
    "house/notes.md": "# House notes\n\nEverything that somebody will ask for one day.\n\n## Heating\n\n"
                      "The boiler is serviced every October by Lindqvist. Keep the pressure between 1.2 and 1.5 bar.\n\n"
                      "- Filter: clean it with *warm* water\n- Warranty: until 2031\n\n<script>window.pwned = 1</script>\n\n"
                      "<img src=x onerror=\"window.pwned = 1\">\n\n[harmless](javascript:window.pwned=1) "
                      "[portal](https://example.com/)\n\n## Roof\n\nThe roof was tarred in the second winter.\n",
    "house/service.txt": "Annual service of the condensing boiler. Flame sensor cleaned.\n",
    "code/heating.rs": "/// Days since the boiler was serviced.\npub fn days_since_service(log: &Log) -> u32 {\n    log.days()\n}\n",
    "birds/heron.md": "# Heron\n\nA heron stands in the reeds and waits for fish.\n",
    "birds/egret.md": "# Egret\n\nAn egret waits for fish where the reeds are low, like a heron.\n",
    "odd/<img src=x onerror=alert(1)>.txt": "A gannet dives from thirty metres. \x1b[31mred\x1b[0m \u202egnp.exe\n",
}


class Desk:
    """A folder of files, their collection, and a server."""

    def __init__(self, askance, folder):
        self.askance, self.folder = askance, Path(folder)
        self.files = self.folder / "files"
        self.environment = {**os.environ, "ASKANCE_HOME": str(self.folder / "home"), "NO_COLOR": "1"}
        for name, text in FILES.items():
            self.write(name, text)
        # By words, so that it is known how many hits there are.
        self.run("model", "use", "none")
        self.run("index", str(self.files))
        self.port = 0
        self.serve()

    def write(self, name, text):
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *arguments):
        subprocess.run([self.askance, "--quiet", *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def serve(self):
        self.process = subprocess.Popen([self.askance, "serve", "--json", "--port", str(self.port)], env=self.environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.port = int(self.url.rstrip("/").rsplit(":", 1)[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def check(is_so, what):
    """Fails with what was expected."""
    if not is_so:
        raise Failure(what)


HITS = "[...document.querySelectorAll('.hit')]"
NAMES = f"{HITS}.map((hit) => hit.querySelector('.path').textContent.split('/').pop()).join(' ')"


def ask(browser, query):
    """Types a query in place of the one there is."""
    browser.key("/")
    browser.eval("document.querySelector('#q').select()")
    browser.type(query)
    settled = "document.querySelector('#results').getAttribute('aria-busy') === 'false'"
    browser.wait(f"document.title.startsWith({json.dumps(query)}) && {settled}")


def searching(browser, desk):
    browser.open(desk.url)
    browser.wait("document.querySelectorAll('.recent li').length > 3")
    check(browser.eval("document.activeElement.id") == "q", "the search field has the focus")
    ask(browser, "boiler serviced")
    browser.wait(f"{HITS}.length === 3")
    marks = browser.eval("[...document.querySelectorAll('.hit mark')].map((mark) => mark.textContent)")
    check("boiler" in marks and "serviced" in marks, f"matched words are marked: {marks}")
    check("line" in browser.eval("document.querySelector('.hit .where').textContent"), "a hit names its line")
    summary = browser.eval("document.querySelector('#summary').textContent")
    check("3 passages from 3 files" in summary and "by words" in summary, f"the summary says what was found: {summary}")
    check("q=boiler" in browser.eval("location.hash"), "the search is in the address")


def filtering(browser, _desk):
    browser.eval("[...document.querySelectorAll('.chip')].find((chip) => chip.textContent === 'rs').click()")
    browser.wait(f"{NAMES} === 'heating.rs'")
    check(browser.eval("document.querySelector('.chip[aria-pressed=true]').textContent") == "rs", "the chip is pressed")
    browser.click("#clear")
    browser.wait(f"{HITS}.length === 3")
    browser.eval("document.querySelector('#folder').focus()")
    browser.type("house")
    browser.wait(f"{HITS}.length === 2")
    browser.click("#clear")
    browser.wait(f"{HITS}.length === 3")
    browser.eval("document.querySelector('#after').value = '1d'; document.querySelector('#after').dispatchEvent(new Event('change'))")
    browser.wait(f"{HITS}.length === 3")
    browser.click("#clear")


def walking(browser, _desk):
    browser.eval("document.activeElement.blur()")
    selected = f"{HITS}.findIndex((hit) => hit.getAttribute('aria-selected') === 'true')"
    before = browser.wait(f"{selected} + 1") - 1
    browser.key("j")
    check(browser.eval(selected) == before + 1, "j goes to the next result")
    browser.key("k")
    check(browser.eval(selected) == before, "k goes back")
    browser.key("ArrowDown")
    check(browser.eval(selected) == before + 1, "the arrow does as j")
    browser.key("?")
    browser.wait("document.querySelector('#keys').open")
    browser.key("Escape")
    browser.wait("!document.querySelector('#keys').open")
    dark = "getComputedStyle(document.body).backgroundColor"
    first = browser.eval(dark)
    browser.key("t")
    check(browser.eval(dark) != first, "t changes between light and dark")
    browser.key("t")


def reading(browser, _desk):
    ask(browser, "pressure bar")
    browser.key("Enter")
    browser.wait("document.activeElement.id === 'pane' && document.querySelector('.pane .prose h2')")
    check(browser.eval("Boolean(document.querySelector('.pane .prose .target'))"), "the passage is marked in its document")
    check(browser.eval("document.querySelector('.pane .prose em').textContent") == "warm", "Markdown is rendered")
    links = browser.eval("[...document.querySelectorAll('.pane .prose a')].map((a) => a.getAttribute('href'))")
    check(links == [None, "https://example.com/"], f"only web links lead somewhere: {links}")
    check(browser.eval("document.querySelectorAll('.pane img, .pane script').length") == 0, "no markup of the file is there")
    browser.key("r")
    browser.wait("document.querySelector('.pane .plain .passage.target mark')")
    browser.key("r")
    browser.key("e")
    browser.wait("document.querySelectorAll('.why .term').length >= 2")
    check("Rank 1" in browser.eval("document.querySelector('.why').textContent"), "the explanation says the rank")
    browser.key("e")
    browser.key("Escape")
    browser.wait("document.activeElement.id === 'results'")
    ask(browser, "heron reeds")
    browser.key("Enter")
    browser.wait("document.querySelector('.pane h2')?.textContent === 'Heron'")
    browser.key("m")
    browser.wait(f"document.querySelector('.note.like') && {NAMES}.startsWith('egret.md')")
    check("heron.md" not in browser.eval(NAMES), "a document is not like itself")


def hostile(browser, _desk):
    ask(browser, "gannet")
    browser.key("Enter")
    browser.wait("document.querySelector('.pane .words')?.textContent.includes('gannet')")
    text = browser.eval("document.body.textContent")
    check("<img src=x onerror=alert(1)>.txt" in text, "a name that looks like markup is text")
    check("\x1b" not in text and "\u202e" not in text, "controls are made visible")
    check("U+202E" in text, "the direction mark is named")
    check(browser.eval("window.pwned === undefined"), "nothing of a document runs")
    ask(browser, "zzzyyy")
    browser.wait("document.querySelector('.blank h2')?.textContent === 'Nothing found'")


def living(browser, desk):
    ask(browser, "cormorant")
    browser.wait(f"{HITS}.length === 0")
    desk.write("birds/cormorant.md", "# Cormorant\n\nA cormorant dries its wings.\n")
    desk.run("index", str(desk.files))
    browser.wait(f"{NAMES} === 'cormorant.md'")
    browser.eval("document.activeElement.blur()")
    browser.key("s")
    browser.wait("document.querySelector('.sheet .big')?.textContent.startsWith('7')")
    text = browser.eval("document.querySelector('.sheet').textContent")
    for part in ("Passages", "Generation", "On disk", "File types", "Folders", "Unreadable files"):
        check(part in text, f"the status shows {part}")
    browser.key("Escape")
    browser.wait("document.querySelector('.sheet').hidden")


def small(browser, desk):
    browser.resize(390, 844)
    browser.open("about:blank")
    browser.open(desk.url + "#q=boiler")
    browser.wait(f"{HITS}.length === 3")
    wide = "document.documentElement.scrollWidth"
    check(browser.eval(wide) <= 390, f"no sideways scrolling: {browser.eval(wide)}")
    browser.click(".hit")
    browser.wait("document.querySelector('.pane').getBoundingClientRect().width === 390")
    browser.wait("document.querySelector('.pane .target')")
    check(browser.eval(wide) <= 390, f"no sideways scrolling while reading: {browser.eval(wide)}")
    browser.click(".back")
    browser.wait("document.querySelector('.pane').hidden")
    browser.resize(1360, 860)


def names_for_all(browser, _desk):
    nameless = browser.eval(
        "[...document.querySelectorAll('button, input, select, [role=listbox]')].filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim()"
        " || e.labels?.length || e.title)).map((e) => e.outerHTML)")
    check(nameless == [], f"every control has a name: {nameless}")


def going_away(browser, desk):
    desk.stop()
    browser.wait("!document.querySelector('#trouble').hidden")
    desk.serve()
    browser.wait("document.querySelector('#trouble').hidden", 20)


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if not program():
        print("there is no Chromium here", file=sys.stderr)
        return 77
    steps = [searching, filtering, walking, reading, hostile, living, small, names_for_all]
    with tempfile.TemporaryDirectory(prefix="askance-page-") as folder:
        desk = Desk(os.path.abspath(sys.argv[1]), folder)
        try:
            with Browser() as browser:
                for step in steps:
                    begun = time.monotonic()
                    try:
                        step(browser, desk)
                    except Failure as failure:
                        print(f"{step.__name__}: {failure}; {browser.complaints()}", file=sys.stderr)
                        if "--shots" in sys.argv:
                            browser.shot(os.path.join(sys.argv[sys.argv.index("--shots") + 1], f"{step.__name__}.png"))
                        return 1
                    print(f"{step.__name__}: {time.monotonic() - begun:.1f} s")
                complaints = browser.complaints()
                if complaints:
                    print(f"the browser complains: {complaints}", file=sys.stderr)
                    return 1
                going_away(browser, desk)
        finally:
            desk.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
