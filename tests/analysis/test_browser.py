"""The report in a real browser, Chromium without a screen: what it shows, how it answers, and that it calls nobody."""

import json
import re
import shutil

import pandas as pd
import pytest

from analysis.report import main
from tests.analysis.conftest import TASKS, FakeStore, make_predictions
from tests.analysis.recorded import leave_mistakes, mistake

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: no browser opened the report")
from selenium.webdriver.chrome.service import Service  # noqa: E402  (after the check that it is there)
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = pytest.mark.slow
EVIL = "<script>alert(1)</script>"
ARCHS = ("resnet18", "densenet121", EVIL)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
VALUES = ["0.2", "\N{MINUS SIGN}0.1", "n/a", "< 0.001", "0.001", "", "1,200", "0.03 (0.01 to 0.05)"]
ASCENDING = ["\N{MINUS SIGN}0.1", "< 0.001", "0.001", "0.03 (0.01 to 0.05)", "0.2", "1,200", "n/a", ""]


@pytest.fixture(scope="module")
def page(empty_database, tmp_path_factory):
    """A report of ten cells whose architecture, task, patient and failure are named to do harm."""
    folder = tmp_path_factory.mktemp("evil")
    shutil.copy(empty_database, folder / "mlflow.db")
    store = FakeStore(folder)
    for number, arch in enumerate(ARCHS):
        for pretrained in (True, False):
            for seed in (0, 1):
                skill = 1.0 + 0.3 * pretrained + 0.2 * number
                frame = make_predictions(4 * number + 2 * pretrained + seed, skill=skill)
                frame = frame.rename(columns={"label/edema": f"label/{EVIL}", "score/edema": f"score/{EVIL}"})
                frame["patient"] = frame["patient"].replace("patient00000", EVIL)
                run_id = store.add(
                    arch, pretrained, seed=seed, frame=frame, metrics={"parameters": 1e6 * (number + 1)},
                    params={"evaluation.tasks": ",".join([*TASKS[:3], EVIL])},
                )  # fmt: skip
                leave_mistakes(store, run_id, mistake(task=EVIL, study=EVIL), mistake(1, kind="false negative"))
    store.add("resnet34", status="FAILED", tags={"failure": EVIL, "family": EVIL})
    out = folder / "report"
    assert main([*store.words, "allow_missing=true", f"out={out}", "resamples=50", "permutations=50"]) == 0
    return out


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip(
            "no chromium and chromedriver (apt-get install chromium chromium-driver): no browser opened the page"
        )
    options = webdriver.ChromeOptions()
    options.binary_location, driver = programs
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


def look(browser, width, height=900, **media):
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items() if name != "media"]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media.get("media", ""), "features": features})


@pytest.fixture
def opened(chromium, page):
    """The page freshly opened on a wide screen in daylight."""
    look(chromium, 1280)
    for kind in ("browser", "performance"):
        chromium.get_log(kind)  # what an earlier page left
    chromium.get((page / "index.html").as_uri())
    return chromium


def table(name):
    """Finds a table by its caption, in JavaScript."""
    return f"[...document.querySelectorAll('table')].find(t => t.caption.textContent.startsWith('tables/{name}.csv'))"


def column(browser, name, title):
    """Texts of the rows that are shown."""
    return browser.execute_script(
        f"const t = {table(name)}; const i = [...t.tHead.rows[0].cells].findIndex(c => c.textContent === arguments[0]);"
        "return [...t.tBodies[0].rows].filter(r => r.checkVisibility()).map(r => r.cells[i].textContent)", title,
    )  # fmt: skip


def head(browser, name, title):
    script = f"const t = {table(name)}; return [...t.tHead.rows[0].cells].find(c => c.textContent === arguments[0])"
    return browser.execute_script(script, title)


def until(browser, condition):
    return WebDriverWait(browser, 20, poll_frequency=0.02).until(lambda _: condition())


def tip(browser):
    found = browser.find_element("id", "tip")
    return found.text if found.is_displayed() else ""


def marks(browser, within="figure"):
    return browser.find_elements("css selector", f"{within} .plot circle")


def test_no_error_is_logged_and_no_request_leaves_the_file(opened, page):
    assert opened.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    urls = [item["params"]["request"]["url"] for item in sent if item["method"] == "Network.requestWillBeSent"]
    assert (page / "index.html").as_uri() in urls
    assert [url for url in urls if not url.startswith("data:")] == [(page / "index.html").as_uri()]


def test_whatever_would_ask_outside_or_run_is_refused(opened):
    refused = opened.execute_async_script(
        "const done = arguments[0], seen = [];"
        "document.addEventListener('securitypolicyviolation', event => {"
        "  seen.push(event.effectiveDirective); if (seen.length === 2) done(seen.sort()); });"
        "new Image().src = 'http://127.0.0.1:9/x.png';"
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}));"
    )
    assert refused == ["img-src", "script-src-elem"]
    assert opened.execute_script("return window.ran") is None


def test_names_that_would_do_harm_are_text(opened):
    assert len(opened.find_elements("css selector", "script")) == 1
    assert EVIL in column(opened, "auroc", "Architecture")
    words = opened.find_element("css selector", "body").text
    assert re.search(rf"resnet34\S* FAILED {re.escape(EVIL)}", words)
    assert f"study {EVIL}" in words
    evil = next(mark for mark in marks(opened) if mark.get_attribute("data-arch") == EVIL)
    opened.execute_script("arguments[0].focus()", evil)
    assert tip(opened).startswith(EVIL)


def test_a_click_sorts_by_number_and_a_second_one_the_other_way(opened, page):
    raw = pd.read_csv(page / "tables" / "auroc.csv")
    means = raw.loc[raw["task"] == "mean", "estimate"]
    assert column(opened, "auroc", "Mean") != [f"{value:.3f}" for value in sorted(means)]
    cell = head(opened, "auroc", "Mean")
    cell.find_element("css selector", "button").click()
    assert column(opened, "auroc", "Mean") == [f"{value:.3f}" for value in sorted(means)]
    assert cell.get_attribute("aria-sort") == "ascending"
    cell.find_element("css selector", "button").click()
    assert column(opened, "auroc", "Mean") == [f"{value:.3f}" for value in sorted(means, reverse=True)]
    assert cell.get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts_and_one_column_alone_says_so(opened):
    head(opened, "auroc", "Mean").find_element("css selector", "button").click()
    head(opened, "auroc", "Architecture").find_element("css selector", "button").send_keys(Keys.ENTER)
    names = column(opened, "auroc", "Architecture")
    assert names == [EVIL] * 4 + ["densenet121"] * 4 + ["resnet18"] * 4
    assert head(opened, "auroc", "Architecture").get_attribute("aria-sort") == "ascending"
    assert head(opened, "auroc", "Mean").get_attribute("aria-sort") is None


@pytest.mark.parametrize("clicks", [1, 2])
def test_signs_bounds_and_thousands_are_numbers_and_what_is_empty_comes_last(opened, clicks):
    opened.execute_script(
        f"const t = {table('auroc')}; const rows = [...t.tBodies[0].rows];"
        "rows.slice(arguments[0].length).forEach(row => row.remove());"
        "arguments[0].forEach((text, i) => { rows[i].cells[4].textContent = text; });", VALUES,
    )  # fmt: skip
    for _ in range(clicks):
        head(opened, "auroc", "Mean").find_element("css selector", "button").click()
    expected = ASCENDING if clicks == 1 else [*ASCENDING[5::-1], *ASCENDING[6:]]
    assert column(opened, "auroc", "Mean") == expected


def test_a_table_can_be_filtered_and_a_small_one_needs_none(opened):
    field = opened.find_element("css selector", "input[aria-label^='Filter the table tables/auroc.csv']")
    field.send_keys("resnet18 yes")
    assert column(opened, "auroc", "Architecture") == ["resnet18"] * 2
    assert "2 of 12 rows" in opened.find_element("css selector", "body").text
    field.clear()
    field.send_keys("resnet18")
    assert len(column(opened, "auroc", "Architecture")) == 4
    assert not opened.find_elements("css selector", "input[aria-label^='Filter the table tables/boost.csv']")


def test_one_field_filters_every_table_by_architecture_and_rings_the_points(opened):
    opened.find_element("css selector", ".finder input").send_keys("DenseNet")
    assert set(column(opened, "auroc", "Architecture")) == {"densenet121"}
    assert column(opened, "boost", "Architecture") == ["densenet121"]
    found = {mark.get_attribute("data-arch") for mark in opened.find_elements("css selector", "circle.found")}
    assert found == {"densenet121"}


def test_a_point_under_the_cursor_says_architecture_and_values(opened, page):
    points = pd.read_csv(page / "figures" / "auroc.csv")
    row = points[(points["arch"] == "resnet18") & points["pretrained"] & (points["seed"] == 1)].iloc[0]
    mark = next(mark for mark in marks(opened) if f"{row['estimate']:.3f}" in mark.get_attribute("aria-label"))
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    assert tip(opened) == ""
    ActionChains(opened).move_to_element_with_offset(mark, 5, 5).perform()  # beside it
    until(opened, lambda: tip(opened) != "")
    assert tip(opened).splitlines() == [
        "ResNet18, pretrained, seed 1",
        f"{row['estimate']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
    ]
    ActionChains(opened).move_to_element(opened.find_element("css selector", "h1")).perform()
    until(opened, lambda: tip(opened) == "")


def test_a_tap_and_the_keyboard_do_the_same(opened):
    first, second = marks(opened)[:2]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
    first.click()
    assert tip(opened) == first.get_attribute("aria-label")
    opened.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_RIGHT)
    assert tip(opened) == second.get_attribute("aria-label") != first.get_attribute("aria-label")
    stops = opened.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => p.querySelectorAll('[tabindex=\"0\"]').length)"
    )
    assert set(stops) == {1}


def test_a_figure_opens_large_with_its_tooltips_and_escape_closes_it(opened):
    opened.find_element("css selector", ".enlarge").click()
    dialog = opened.find_element("css selector", "dialog")
    assert dialog.is_displayed()
    small = opened.find_element("css selector", "figure .plot")
    assert dialog.find_element("css selector", ".plot").size["width"] > small.size["width"]
    mark = marks(opened, "dialog")[0]
    opened.execute_script("arguments[0].focus()", mark)
    assert tip(opened) == mark.get_attribute("aria-label")
    ActionChains(opened).send_keys(Keys.ESCAPE).perform()
    until(opened, lambda: not dialog.is_displayed() and not dialog.find_elements("css selector", "*"))
    assert tip(opened) == ""
    opened.find_element("css selector", ".enlarge").click()
    opened.find_element("css selector", "dialog .close").click()
    until(opened, lambda: not dialog.is_displayed())


def test_a_phone_need_not_scroll_sideways(opened):
    look(opened, 390, 844)
    assert opened.execute_script("return innerWidth") == 390
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    assert marks(opened)[0].is_displayed()


def test_the_dark_page_is_dark_and_its_figures_stand_on_white(opened):
    colour = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    assert opened.execute_script(colour, "td") == "rgb(255, 255, 255)"
    look(opened, 1280, prefers_color_scheme="dark")
    assert max(map(int, re.findall(r"\d+", opened.execute_script(colour, "td"))[:3])) < 60
    assert opened.execute_script(colour, ".plot") == "rgb(255, 255, 255)"


def test_paper_gets_every_row_and_nothing_to_click(opened):
    opened.find_element("css selector", ".finder input").send_keys("densenet")
    assert len(column(opened, "auroc", "Architecture")) == 4
    look(opened, 800, media="print")
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(column(opened, "auroc", "Architecture")) == 12
    shown = opened.execute_script(
        "return [...document.querySelectorAll('input, nav, .enlarge, details > :not(summary)')]"
        ".filter(e => e.checkVisibility()).map(e => e.className)"
    )
    assert set(shown) <= {"wide"}  # tables that were folded
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    assert opened.execute_script("return document.querySelectorAll('details[open]').length") == 0


def test_each_error_is_shown_with_its_label_and_score(opened):
    shown = opened.find_elements("css selector", ".errors figure")
    assert len(shown) == 4  # two of the best pretrained cell, two of the best scratch one
    assert re.search(r"false positive\s+label 0, score 0\.988", shown[0].text)
