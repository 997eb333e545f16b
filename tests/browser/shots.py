#!/usr/bin/env python3
"""What does the page look like? Makes the pictures under docs/ from files written here.

Usage: shots.py ASKANCE FOLDER [--model DIR]. With a sentence encoder in Hugging Face layout, search is by meaning too.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chromium import Browser
from page import Desk

NOTES = """# House notes

Everything about the house that somebody will ask for one day.

## Heating

The system was put in during the *second winter*. It has three zones: hall, upstairs and workshop. Each zone has its own
thermostat, and the workshop may go down to fourteen degrees at night without harm to the tools.

### Boiler

The boiler is serviced every October by Lindqvist; the last service was on 12 October 2025. Keep the pressure between 1.2
and 1.5 bar, and bleed the radiator in the hall first.

- Pressure gauge: behind the white panel
- Filter: clean with warm water, `every 3 months`
- Warranty until 2031, see the [service portal](https://example.com/)

### Floor heating

Runs from the same boiler. The pump is quiet when the air is out of it. The settings of the controller:

```
zone  = "workshop"
night = 14.0
day   = 19.0
```

| Year | Cost   | Who       |
|------|--------|-----------|
| 2024 | 175.00 | Lindqvist |
| 2025 | 189.00 | Lindqvist |

## Roof

The roof was tarred before the first snow. The ladder hangs in the barn, behind the boat. Look at the gutter on the north
side after every storm, as leaves of the old maple gather there and the water runs down the wall.
"""

FILES = {
    "Documents/house/notes.md": NOTES,
    "Documents/house/service-report.txt": "Annual service of the condensing boiler\n\nFlame sensor cleaned, expansion vessel refilled to 0.9 bar. "
        "Measured at full load: CO2 9.1 percent, flue gas 58 degrees. No leak at the gas valve. The condensate trap was rinsed.\n\n"
        "Next service due in October 2026. Signed, Lindqvist VVS\n",
    "Mail/appointment.eml": "From: Ada <ada@example.com>\nTo: office@example.com\nSubject: Re: appointment for the boiler\nDate: Mon, 22 Sep 2025 09:12:00 +0200\n"
        "Content-Type: text/plain; charset=utf-8\n\nCould we move the boiler service to the second week of October? The plumber can come on Monday "
        "morning, and somebody will be at home all day.\n",
    "Documents/money/2025.csv": "date,who,what,amount\n2025-09-02,Power company,electricity,412.50\n2025-10-14,Lindqvist VVS,boiler service,189.00\n2025-11-03,Library,late fee,2.00\n",
    "code/thermostat/heating.rs": "use crate::log::{Kind, Log};\n\n/// Days since the boiler was serviced, by the log; none if it never was.\n"
        "pub fn days_since_service(log: &Log) -> Option<u32> {\n    let last = log.entries().rev().find(|entry| entry.kind == Kind::Service)?;\n"
        "    Some((log.today() - last.day).days())\n}\n\n/// Whether the pressure is where the maker wants it, in bar.\npub fn pressure_is_fine(bar: f32) -> bool {\n"
        "    (1.2..=1.5).contains(&bar)\n}\n",
    "Documents/garden/pond.md": "# Pond\n\nA heron comes at dawn and stands in the reeds. The net keeps the fish safe, but it has to come off before the ice.\n",
    "Documents/garden/plan.md": "# Plan for spring\n\nMove the currants to the sunny side, and prune the old apple tree before the end of March.\n",
    "Documents/travel/packing.txt": "Passport, tickets, the small camera, two books. The passport runs out in 2027: renew it at the town hall, bring a photograph.\n",
    "Documents/reading/notes.html": "<html><head><title>Notes on reading</title></head><body><h1>Notes on reading</h1><p>What warms a room is not the stove alone: "
        "thick curtains and a closed door keep in what the fire gives.</p></body></html>",
}
BROKEN = {"Documents/scans/lease.docx": b"PK\x03\x04 not an archive", "Documents/scans/contract.pdf": b"%PDF-1.4 broken"}
QUERY = "when is the boiler serviced"


class Home(Desk):
    """A desk with the files of this script."""

    def __init__(self, askance, folder, model):
        self.askance, self.folder, self.port = askance, Path(folder), 0
        self.files = self.folder / "ada"
        self.environment = {**os.environ, "ASKANCE_HOME": str(self.folder / "askance"), "NO_COLOR": "1"}
        for age, (name, text) in enumerate(FILES.items()):
            self.write(name, text)
            stamp = time.time() - 5000 * (age + 1) ** 2
            os.utime(self.files / name, (stamp, stamp))
        for name, data in BROKEN.items():
            path = self.files / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if model:
            self.run("model", "add", model, "--name", "all-MiniLM-L6-v2")
        subprocess.run([askance, "--quiet", "index", *(str(self.files / part) for part in ("Documents", "Mail", "code"))],
                       env=self.environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.serve()


def settle(browser):
    browser.wait("document.querySelectorAll('.hit').length > 1 && document.querySelector('#results').getAttribute('aria-busy') === 'false'")
    time.sleep(0.8)


def shoot(askance, model, into):
    with tempfile.TemporaryDirectory() as folder:
        home = Home(askance, folder, model)
        try:
            with Browser(1280, 800) as browser:
                browser.scheme("light")
                browser.open(home.url)
                browser.wait("document.querySelectorAll('.recent li').length > 3")
                time.sleep(1.5 if model else 0.3)
                browser.shot(into / "page-start.png")
                browser.type(QUERY)
                settle(browser)
                browser.shot(into / "page-search.png")
                browser.eval("document.activeElement.blur()")
                browser.key("e")
                time.sleep(0.6)
                browser.shot(into / "page-explain.png")
                browser.key("e")
                browser.key("j")
                browser.scheme("dark")
                time.sleep(0.8)
                browser.shot(into / "page-dark.png")
                browser.scheme("light")
                browser.key("s")
                browser.wait("document.querySelector('.sheet .big')")
                time.sleep(0.5)
                browser.shot(into / "page-status.png")
            with Browser(390, 800, 2) as browser:
                browser.scheme("light")
                browser.open(f"{home.url}#q={QUERY.replace(' ', '+')}")
                settle(browser)
                browser.shot(into / "page-phone.png")
                browser.scheme("dark")
                browser.click(".hit")
                browser.wait("document.querySelector('.pane .target')")
                time.sleep(0.5)
                browser.shot(into / "page-phone-reading.png")
        finally:
            home.stop()


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    model = os.path.abspath(sys.argv[sys.argv.index("--model") + 1]) if "--model" in sys.argv else None
    into = Path(sys.argv[2])
    into.mkdir(parents=True, exist_ok=True)
    shoot(os.path.abspath(sys.argv[1]), model, into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
