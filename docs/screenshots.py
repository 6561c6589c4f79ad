"""`make screenshots`: docs/mlflow.png and docs/report.png, of runs that are made up in a store of their own.

Starts `mlflow ui` on loopback, opens the experiment's saved view and the report in a headless Chromium, and takes their
pictures. Nothing is trained: curves and scores come from a random generator. `python -m docs.screenshots
tracking.uri=URI experiment=NAME report=DIR` shows another store. Needs selenium (the extra `dev`), chromium and
chromedriver.
"""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.ui import WebDriverWait

from analysis.report import main as report
from bench.networks.registry import architecture
from bench.tracking.server import Point, Server

PROJECT = Path(__file__).resolve().parent.parent
KEYS = ("tracking.uri", "experiment", "report")
NETWORKS = {
    "mobilenetv2_100": 2.242, "efficientnet_b0": 4.025, "densenet121": 6.968, "resnet18": 11.184, "resnet50": 23.537,
}  # fmt: skip
"""With their parameters, in millions."""
TASKS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
EVERY, LOOKS, STUDIES = 8192, 12, 200
"""Images seen between two points of a made-up curve, points, and studies of the made-up test set."""
WIDTH, HEIGHT = 1500, 950
"""px of the window."""
COLOURS = 128
"""Of a picture's palette: a page of text and charts has few, and the file is a third as large."""
SECONDS = 180
"""For which a page is waited for."""
MAYBE_SECONDS = 60
"""For which is waited for what MLflow shows in some versions only."""
TABLE, CHARTS, LEAST = ".ag-center-cols-container .ag-row", ".js-plotly-plot .main-svg", 3
"""What a loaded page has at least so many of."""
HIDDEN = "<style>.modebar {display: none !important}</style>"
"""Plotly's buttons, which a headless browser shows as if a mouse were over every chart."""
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def make_up(folder: Path) -> dict[str, str]:
    """Records made-up cells and reports on them; returns where."""
    found = {"tracking.uri": f"sqlite:///{folder}/mlflow.db", "experiment": "made-up", "report": f"{folder}/report"}
    server = Server(found["tracking.uri"], found["experiment"])
    rng = np.random.default_rng(0)
    truth = (rng.random((STUDIES, len(TASKS))) < 0.3).astype(float)
    for index, name in enumerate(NETWORKS):
        for pretrained in (True, False):
            record(server, folder / "predictions", name, pretrained, 1.0 + 0.08 * index + 0.25 * pretrained, truth, rng)
    words = [f"tracking.uri={found['tracking.uri']}", f"experiment={found['experiment']}", f"out={found['report']}"]
    if report([*words, "resamples=200", "permutations=200"]):
        raise SystemExit("no report")
    return found


def record(
    server: Server,
    folder: Path,
    name: str,
    pretrained: bool,
    skill: float,
    truth: npt.NDArray[Any],
    rng: np.random.Generator,
) -> None:
    """One finished cell: curves that rise to its skill, and scores of as much."""
    row = architecture(name)
    tags = {
        "cell": f"{name}-{pretrained}", "arch": name, "family": row.family, "label": row.label, "truncate": "0",
        "pretrained": str(pretrained).lower(), "seed": "0", "weights": "made-up" if pretrained else "none",
        "weights_standin": str(pretrained).lower(), "data": "phantom", "data_fingerprint": "made-up",
        "data_generated": "true", "data_uncertain": "u-ignore", "protocol": "made-up", "sweep": "",
    }  # fmt: skip
    run = server.create_run(f"{name}-{'pretrained' if pretrained else 'scratch'}-t0-s0", tags, int(time.time() * 1000))
    frame = pd.DataFrame({"path": [f"s{i}.jpg" for i in range(STUDIES)], "view": "frontal"})
    frame["patient"] = frame["study"] = [f"s{i}" for i in range(STUDIES)]
    for index, task in enumerate(TASKS):
        logits = skill * truth[:, index] + rng.normal(size=STUDIES)
        frame[f"label/{task}"], frame[f"score/{task}"] = truth[:, index], 1 / (1 + np.exp(-logits))
    seen = EVERY * np.arange(1, LOOKS + 1)
    risen = 1 - np.exp(-seen / seen[-1] * (5 if pretrained else 3))
    auroc = 0.5 + (NormalDist().cdf(skill / 2**0.5) - 0.5) * risen + rng.normal(scale=0.003, size=LOOKS)
    curves = {"valid/auroc": auroc, "train/loss": 0.69 - 0.3 * (auroc - 0.5) / 0.3}
    points = [
        Point(key, float(v), 0, int(at)) for key, values in curves.items() for v, at in zip(values, seen, strict=True)
    ]
    size = NETWORKS[name]
    last = {"test/auroc": float(auroc[-1]) - 0.01, "parameters": 1e6 * size, "fit_seconds": 600 + 100 * size}
    server.log(run, points=[*points, *(Point(key, value, 0, int(seen[-1])) for key, value in last.items())])
    file = folder / run / "test.parquet"
    file.parent.mkdir(parents=True)
    frame.to_parquet(file, index=False)
    server.upload(run, file, "predictions/test.parquet")
    server.end(run, "FINISHED", int(time.time() * 1000))


@contextlib.contextmanager
def mlflow_ui(uri: str) -> Iterator[str]:
    """The address of MLflow's UI on a tracking store, once it answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1"], stdout=log, stderr=log, start_new_session=True
        )
        try:
            until = time.monotonic() + SECONDS
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                if server.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise SystemExit(f"mlflow ui does not answer: {log.read().decode()}")
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a fresh profile."""
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        driver.set_page_load_timeout(SECONDS)
        try:
            yield driver
        finally:
            driver.quit()


def picture(driver: webdriver.Chrome) -> Image.Image:
    """What the window shows."""
    return Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")


def save(shots: list[Image.Image], file: Path) -> None:
    """Saves pictures of one width, one below the other, with a small palette."""
    whole = Image.new("RGB", (shots[0].width, sum(shot.height for shot in shots)))
    for index, shot in enumerate(shots):
        whole.paste(shot, (0, sum(above.height for above in shots[:index])))
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size // 1000} kB")  # noqa: T201  # a script's voice


def shoot_mlflow(driver: webdriver.Chrome, address: str, experiment_id: str) -> None:
    """The saved views: runs in groups, and their curves."""
    runs, wait = f"{address}/#/experiments/{experiment_id}/runs", WebDriverWait(driver, SECONDS)
    driver.get(runs)
    for asked in ("//*[text()='Model training']", "//button[@aria-label='Close']"):  # the menu for it; no assistant
        with contextlib.suppress(TimeoutException):
            WebDriverWait(driver, MAYBE_SECONDS).until(element_to_be_clickable((By.XPATH, asked))).click()
    shots = []
    for view, what in (("families", TABLE), ("charts&compareRunsMode=CHART", CHARTS)):
        driver.get(f"{runs}?viewStateShareKey={view}")
        wait.until(lambda page, what=what: len(page.find_elements(By.CSS_SELECTOR, what)) >= LEAST)
        driver.execute_script("document.head.insertAdjacentHTML('beforeend', arguments[0])", HIDDEN)
        wait.until(lambda page: page.execute_script("return document.getAnimations().every(it => !it.pending)"))
        shots.append(picture(driver))
    save(shots, PROJECT / "docs" / "mlflow.png")


def shoot_report(driver: webdriver.Chrome, report: Path) -> None:
    """The top of the report."""
    driver.get((report / "index.html").resolve().as_uri())
    save([picture(driver)], PROJECT / "docs" / "report.png")


def main(words: list[str]) -> None:
    """Takes both pictures."""
    settings = dict(word.split("=", 1) for word in words)
    if settings and set(settings) != set(KEYS):
        raise SystemExit(f"all of {', '.join(KEYS)}, or none of them")
    with tempfile.TemporaryDirectory() as folder:
        settings = settings or make_up(Path(folder))
        experiment = Server(settings["tracking.uri"], settings["experiment"]).experiment_id
        with browser() as driver:
            shoot_report(driver, Path(settings["report"]))
            with mlflow_ui(settings["tracking.uri"]) as address:
                shoot_mlflow(driver, address, experiment)


if __name__ == "__main__":
    main(sys.argv[1:])
