#!/usr/bin/env python3
"""How fast does the page's search answer many people while indexing runs?

Usage: load.py ASKANCE FOLDER [--clients 50] [--seconds 60] [--queries FILE] [--mode hybrid] [--reindex]

Indexes FOLDER into a collection of its own unless ASKANCE_HOME holds one, serves it, and lets so many clients ask one query
after the other over one connection each, with `--reindex` while another process indexes the folder again and again with
one file changed. Prints one JSON object: requests, errors, p50/p99 in ms, requests a second, and the server's memory at the
start, in the middle and at the end.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode, urlparse


def memory(pid):
    """Resident memory in MB."""
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def client(host, queries, mode, end, times, errors):
    """Asks until `end`."""
    connection = http.client.HTTPConnection(host, timeout=60)
    choose = random.Random(threading.get_ident())
    while time.monotonic() < end:
        begun = time.perf_counter()
        try:
            connection.request("GET", "/api/v1/search?" + urlencode({"q": choose.choice(queries), "mode": mode}))
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or b'"hits"' not in body:
                errors.append(f"{response.status} {body[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
            connection.close()
        times.append((time.perf_counter() - begun) * 1000)


def indexing(askance, environment, folder, end, runs):
    """Changes one file and indexes, again and again."""
    note = Path(folder) / "load-note.txt"
    while time.monotonic() < end:
        note.write_text(f"note {time.time()}\n")
        done = subprocess.run([askance, "--quiet", "index", folder], env=environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=False)
        runs.append(done.stderr if done.returncode else "")
    note.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("askance")
    parser.add_argument("folder")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--queries")
    parser.add_argument("--mode", default="hybrid")
    parser.add_argument("--reindex", action="store_true")
    given = parser.parse_args()
    askance = os.path.abspath(given.askance)
    with tempfile.TemporaryDirectory() as home:
        environment = {"ASKANCE_HOME": home, **os.environ}
        subprocess.run([askance, "--quiet", "index", given.folder], env=environment, check=True, stdout=subprocess.DEVNULL)
        server = subprocess.Popen([askance, "serve", "--port", "0", "--json"], env=environment, stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.DEVNULL)
        try:
            print(json.dumps(measure(given, askance, environment, server)))
        finally:
            server.terminate()
            server.wait(10)


def measure(given, askance, environment, server):
    """One run against a server that was just started."""
    host = urlparse(json.loads(server.stdout.readline())["url"]).netloc
    queries = ["how is a generation published", "standing desk height", "error handling", "list of names", "when", "water"]
    if given.queries:
        queries = [line.strip() for line in open(given.queries, encoding="utf-8") if line.strip()]
    warm = http.client.HTTPConnection(host, timeout=60)
    for _ in range(100):
        warm.request("GET", "/api/v1/status")
        state = json.loads(warm.getresponse().read())["live"]["encoder"]["state"]
        if state not in ("", "loading"):
            break
        time.sleep(0.2)
    end = time.monotonic() + given.seconds
    times, errors, runs = [], [], []
    threads = [threading.Thread(target=client, args=(host, queries, given.mode, end, times, errors)) for _ in range(given.clients)]
    if given.reindex:
        threads.append(threading.Thread(target=indexing, args=(askance, environment, given.folder, end, runs)))
    resident = [memory(server.pid)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(given.seconds / 4)
        resident.append(memory(server.pid))
    for thread in threads:
        thread.join()
    times.sort()
    at = lambda share: round(times[min(len(times) - 1, int(len(times) * share))], 1)
    return {"clients": given.clients, "seconds": given.seconds, "encoder": state, "requests": len(times), "errors": len(errors),
            "first_error": errors[0] if errors else None, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1),
            "per_second": round(len(times) / given.seconds, 1), "index_runs": len(runs), "index_failures": sum(map(bool, runs)),
            "server_mb": [round(mb) for mb in resident]}


if __name__ == "__main__":
    main()
