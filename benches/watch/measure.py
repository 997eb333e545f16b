"""How soon is a change searchable, and is anything missed?

Usage: measure.py ASKANCE FOLDER [FILES]. FOLDER is made, filled and removed; FILES defaults to 10,000.
Prints one JSON object: seconds to searchable of single changes, of a copied tree, of its removal, and peak memory.
"""

import json, os, queue, shutil, signal, subprocess, sys, threading, time


class Watch:
    def __init__(self, askance, env, *paths):
        command = [askance, "watch", *paths, "--json", "--always"]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        self.events = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.put((time.monotonic(), json.loads(line)))

    def wait(self, fields, count, timeout=600):
        """The moment when `count` files of these kinds were reported."""
        seen, end = 0, time.monotonic() + timeout
        while seen < count:
            at, event = self.events.get(timeout=end - time.monotonic())
            if event["event"] == "updated":
                seen += sum(event[field] for field in fields)
        return at

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def held(askance, env, *more):
    out = subprocess.run([askance, "status", "--json", *more], env=env, capture_output=True, text=True, check=True)
    status = json.loads(out.stdout)
    return {key: status[key] for key in ("documents", "passages", "text_bytes", "extensions", "failures")}


def main():
    askance, folder, files = sys.argv[1], sys.argv[2], int((sys.argv + ["10000"])[3])
    os.makedirs(f"{folder}/files")
    env = {**os.environ, "ASKANCE_HOME": f"{folder}/home"}
    words = "tide heron reed ebb flood moon boat oar gull sand wind salt".split()
    for i in range(files):
        place = f"{folder}/source/{i % 10}/{i % 97}"
        os.makedirs(place, exist_ok=True)
        text = " ".join(words[(i * 7 + j * j) % len(words)] for j in range(120))
        with open(f"{place}/{i}.txt", "w") as file:
            file.write(f"Note {i}. {text}\n")
    watch = Watch(askance, env, f"{folder}/files")
    report = {"files": files}
    time.sleep(1)
    single = []
    for i in range(30):
        begun = time.monotonic()
        with open(f"{folder}/files/single{i}.md", "w") as file:
            file.write(f"# Single {i}\n\nA note about change {i}.\n")
        single.append(watch.wait(["added"], 1) - begun)
        time.sleep(1)
    report["single_median_s"], report["single_worst_s"] = sorted(single)[15], max(single)
    begun = time.monotonic()
    shutil.copytree(f"{folder}/source", f"{folder}/files/copy")
    report["copying_s"] = time.monotonic() - begun
    report["copied_searchable_s"] = watch.wait(["added", "moved"], files) - begun
    subprocess.run([askance, "index", f"{folder}/files", "--collection", f"{folder}/fresh", "--quiet"], env=env, check=True,
                   stdout=subprocess.DEVNULL)
    report["equals_a_fresh_index"] = held(askance, env) == held(askance, env, "--collection", f"{folder}/fresh")
    with_change = []
    for i in range(10):
        begun = time.monotonic()
        with open(f"{folder}/files/single{i}.md", "a") as file:
            file.write("Changed.\n")
        with_change.append(watch.wait(["changed"], 1) - begun)
        time.sleep(1.5)
    report["single_in_large_median_s"], report["single_in_large_worst_s"] = sorted(with_change)[5], max(with_change)
    begun = time.monotonic()
    shutil.rmtree(f"{folder}/files/copy")
    report["removed_s"] = watch.wait(["removed"], files) - begun
    report["peak_mb"] = watch.peak_mb()
    watch.process.send_signal(signal.SIGINT)
    report["exit"] = watch.process.wait()
    shutil.rmtree(folder)
    print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in report.items()}))


main()
