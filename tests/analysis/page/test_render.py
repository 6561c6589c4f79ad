import base64
import hashlib
import re

import pandas as pd

from analysis.page.render import FOLDER, kinds_of, policy
from analysis.report import main


def hash_of(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_the_policy_names_exactly_the_script_and_the_style_of_the_page(store, tmp_path):
    store.add()
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]) == 0
    page = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    (said,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    said = said.replace("&#39;", "'")
    (script,), (style,) = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL) for tag in ("script", "style"))
    assert {part.strip() for part in said.split(";")} == {
        "default-src 'none'", f"script-src {hash_of(script)}", f"style-src {hash_of(style)}", "img-src data:",
        "base-uri 'none'", "form-action 'none'",
    }  # fmt: skip
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script>")
    assert 'http-equiv="refresh"' not in page


def test_other_bytes_are_another_policy():
    assert policy("a", "b") != policy("a ", "b")


def test_script_and_style_cannot_end_their_own_elements():
    for name in ("report.js", "report.css"):
        assert "</" not in (FOLDER / name).read_text(encoding="utf-8")


def test_sections_stand_in_order(store, tmp_path):
    store.add()
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]) == 0
    titles = re.findall(r"<h2 [^>]*>([^<]*)</h2>", (tmp_path / "r" / "index.html").read_text(encoding="utf-8"))
    assert titles[0] == "The paper&#39;s claims"
    assert titles[-6:] == [
        *("Class activation maps", "Largest errors", "Data", "About every number", "Where this comes from"),
        "What is missing",
    ]


def test_numbers_words_and_sentences_are_told_apart():
    columns = {"p": ["< 0.001", "n/a"], "kept": ["yes", "no"], "n": ["", "\N{MINUS SIGN}1"], "why": ["so", "s" * 31]}
    assert kinds_of(pd.DataFrame(columns)) == ["", "word", "", "long"]
    assert kinds_of(pd.DataFrame(columns=["a"])) == [""]
