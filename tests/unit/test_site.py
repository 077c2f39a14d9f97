"""The documentation as a site: it builds, every link leads somewhere, and no page loads anything from elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".venv-docs/bin/python"
pytestmark = pytest.mark.skipif(not MKDOCS.exists(), reason="the site has an environment of its own: make docs")

#: What a page may not have -> the word by which it is told.
WRONG = {
    '<script src="https://example.org/a.js"></script>': "loads",
    '<link rel="stylesheet" href="//example.org/a.css">': "loads",
    '<img src="https://example.org/a.png">': "loads",
    '<a href="gone.html">': "no such place",
    '<a href="index.html#gone">': "no such place",
    '<a href="#gone">': "no such place",
    "<p>a text\n- and a line</p>": "no list",
}
CHECK = "import sys, site_of_docs as s; from pathlib import Path; print(*s.problems(Path(sys.argv[1])), sep='\\n')"


def told(site: Path, tmp_path: Path) -> str:
    """Return what docs/site.py says of a built site."""
    (tmp_path / "site_of_docs.py").write_text((ROOT / "docs/site.py").read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [MKDOCS, "-c", CHECK, site], cwd=tmp_path, capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.long
def test_it_builds_without_a_warning_and_has_every_page(tmp_path: Path) -> None:
    done = subprocess.run(
        [MKDOCS, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index", "tutorial", "study-file", "results", "api", "findings", "performance", "reliability"):
        assert (tmp_path / f"site/{page}.html").stat().st_size > 5000, page
    assert "rereference" in (tmp_path / "site/api.html").read_text(encoding="utf-8")
    assert told(tmp_path / "site", tmp_path) == ""


@pytest.mark.parametrize(("wrong", "word"), WRONG.items())
def test_what_is_wrong_on_a_page_is_told(wrong: str, word: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    good = '<h1 id="a">A</h1><a href="#a"><a href="https://example.org"><pre>- a line</pre><img src="data:,">'
    (site / "index.html").write_text(good, encoding="utf-8")
    assert told(site, tmp_path) == ""
    (site / "index.html").write_text(good + wrong, encoding="utf-8")
    assert word in told(site, tmp_path)


def test_a_style_may_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import 'https://example.org/b.css';", encoding="utf-8")
    assert "loads" in told(tmp_path, tmp_path)


def test_the_sections_are_those_that_readers_look_for() -> None:
    text = (
        (ROOT / "mkdocs.yml").read_text(encoding="utf-8").replace("!!python/object/apply:pymdownx.slugs.slugify ", "")
    )
    named = [next(iter(entry)) for entry in yaml.safe_load(text)["nav"]]
    wanted = "Start Tutorials How-to Concepts Reference Findings Performance Reliability"
    assert named[:8] == wanted.split()
