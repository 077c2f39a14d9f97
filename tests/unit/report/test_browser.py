"""The page in a real browser: sorting, searching and saving tables, both looks, both widths, and not one request."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_page import render, write_files
from test_page import study as small_study

from uprung.report.results import read_results

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]
WIDTHS, LOOKS = (1400, 400), ("light", "dark")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_files(folder)
    (folder / "report.html").write_text(render(read_results(folder, small_study())), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # the sandbox of Chromium does not start for root
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """The page in a window, and what it complains about or asks for."""

    def __init__(self, browser: Any, file: Path, width: int = 1400, look: str = "light") -> None:
        self.page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=look).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def column(self, table: str, k: int) -> list[str]:
        """Return the first lines of the cells that are in view, of a column."""
        rows = self.page.locator(f"{table} tbody tr:visible").all()
        return [row.locator("th, td").nth(k).inner_text().partition("\n")[0].strip() for row in rows]


@pytest.fixture
def opened(browser: Any, file: Path) -> Opened:
    return Opened(browser, file)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_complained_about_or_asked_for_and_nothing_is_wider_than_the_window(
    browser: Any, file: Path, width: int, look: str
) -> None:
    here = Opened(browser, file, width, look)
    for details in here.page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    here.page.mouse.wheel(0, 40_000)
    here.page.wait_for_timeout(200)
    assert here.complaints == []
    assert [url for url in here.requests if not url.startswith("data:")] == [file.as_uri()]
    assert here.page.evaluate("document.documentElement.scrollWidth") <= width
    # a caption is read without scrolling sideways, whatever the table or figure below it does
    for box in (caption.bounding_box() for caption in here.page.locator("figcaption:visible").all()):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("look", LOOKS)
def test_words_stand_out_from_the_paper_in_both_looks(browser: Any, file: Path, look: str) -> None:
    style = "getComputedStyle(document.body)"
    ink, paper = (
        sum(map(int, value[4:-1].split(",")[:3])) / 765
        for value in Opened(browser, file, look=look).page.evaluate(f"[{style}.color, {style}.backgroundColor]")
    )
    assert (paper > 0.9 > 0.2 > ink) if look == "light" else (ink > 0.8 > 0.2 > paper)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_answer_is_on_the_first_screen_and_the_picture_beside_it(browser: Any, file: Path, width: int) -> None:
    page = Opened(browser, file, width).page
    answer, lead = (page.locator(place).bounding_box() for place in (".answer p", ".lead .explore > svg"))
    assert answer["y"] + answer["height"] < 900
    assert lead["y"] + lead["height"] < 900
    assert lead["width"] <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_contents_stay_in_sight_and_say_where_one_is(browser: Any, file: Path, width: int) -> None:
    page = Opened(browser, file, width).page
    for name in ("errors", "making", "data"):
        page.locator(f'nav a[href="#{name}"]').click()
        page.wait_for_timeout(150)
        assert 0 <= page.locator("nav").bounding_box()["y"] < 5
        current = page.locator("nav a[aria-current]")
        assert current.get_attribute("href") == f"#{name}"
        box = current.bounding_box()
        assert 0 <= box["x"] < width
        title = page.locator(f"#{name} h2").bounding_box()
        assert 0 <= title["y"] < 900, "the contents do not cover the heading"


def test_text_of_figures_is_large_enough_on_a_telephone(browser: Any, file: Path) -> None:
    page = Opened(browser, file, 400).page
    heights = page.evaluate(
        "[...document.querySelectorAll('main svg text')].filter(t => t.textContent.trim())"
        ".map(t => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"
    )
    assert min(heights) > 7


def test_a_table_is_sorted_by_numbers_and_returns_to_its_order(opened: Opened) -> None:
    table = "#references figure.table >> nth=0"
    head = opened.page.locator(f"{table} >> thead th").nth(1)
    before = opened.column(f"{table} >> table", 1)
    orders = []
    for _ in range(3):
        head.locator("button").click()
        orders.append((head.get_attribute("aria-sort"), opened.column(f"{table} >> table", 1)))
    assert [sort for sort, _ in orders] == ["ascending", "descending", None]
    assert orders[2][1] == before


def add_table(page: Any, columns: list[str], rows: list[list[str]]) -> None:
    """Put a table of one's own on the page and run the page's script on it."""
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    heads = "".join(f'<th scope="col">{name}</th>' for name in columns)
    page.evaluate(
        """html => {
          for (const figure of document.querySelectorAll("figure.table")) figure.remove();
          document.querySelector("main").innerHTML += html;
          const script = document.querySelector("script").textContent;
          new (class { run() { const own = document.createElement("script");
            own.textContent = `{${script}}`; document.body.append(own); } })().run();
        }""",
        f'<figure class="table" id="own"><figcaption>x</figcaption><div class="tools"></div><div class="scroll"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div></figure>",
    )


VALUES = ["1,234", "–", "56.7<small>1 to 2</small>", "−3", "> 40", "1.2e-3", "×2.5", "100"]


def test_numbers_are_sorted_as_numbers_and_dashes_stand_last(opened: Opened) -> None:
    add_table(opened.page, ["name", "value"], [[f"mp-{k}", value] for k, value in enumerate(VALUES)])
    button = opened.page.locator("#own thead button").nth(1)
    button.click()
    assert opened.column("#own", 1) == ["−3", "1.2e-3", "×2.5", "> 40", "56.7", "100", "1,234", "–"]
    button.click()
    assert opened.column("#own", 1) == ["1,234", "100", "56.7", "> 40", "×2.5", "1.2e-3", "−3", "–"]
    opened.page.locator("#own thead button").nth(0).press("Enter")  # by the keyboard, too
    assert opened.column("#own", 0) == [f"mp-{k}" for k in range(8)]


def test_names_with_numbers_are_sorted_as_people_do(opened: Opened) -> None:
    add_table(opened.page, ["name"], [["mp-10"], ["mp-9"], ["alpha"]])
    opened.page.locator("#own thead button").click()
    assert opened.column("#own", 0) == ["alpha", "mp-9", "mp-10"]


def test_a_search_leaves_the_rows_with_the_words(opened: Opened) -> None:
    add_table(opened.page, ["name", "value"], [[f"mp-{k}", value] for k, value in enumerate(VALUES)])
    opened.page.locator("#own input[type=search]").fill("MP-5")
    assert opened.column("#own", 0) == ["mp-5"]
    assert opened.page.locator("#own output").inner_text() == "1 of 8 rows"
    opened.page.locator("#own input[type=search]").fill("")
    assert len(opened.column("#own", 0)) == 8


def saved(opened: Opened, button: str) -> list[list[str]]:
    """Return the rows of the CSV file that a button saves."""
    with opened.page.expect_download() as download:
        opened.page.locator(button).click()
    return list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))


def test_a_table_is_saved_as_csv_that_a_program_reads(opened: Opened) -> None:
    rows = [["a, b", VALUES[0]], ['say "x"', VALUES[1]], ["=1+1", VALUES[2]], ["@x", VALUES[3]]]
    add_table(opened.page, ["name", "value"], rows)
    assert saved(opened, "#own .tools button") == [
        ["name", "value", "value (second line)"],
        ["a, b", "1234", ""],
        ['say "x"', "", ""],
        ["'=1+1", "56.7", "1 to 2"],
        ["'@x", "-3", ""],
    ]


def test_every_table_of_the_page_can_be_saved_whole(opened: Opened) -> None:
    for details in opened.page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    figures = opened.page.locator("figure.table")
    for k in range(0, figures.count(), 7):
        rows = saved(opened, f"figure.table >> nth={k} >> .tools button")
        assert len({len(row) for row in rows}) == 1
        assert len(rows) == 1 + figures.nth(k).locator("tbody tr").count()
    assert opened.complaints == []


def test_a_run_is_named_when_pointed_at_and_an_arm_can_be_hidden(opened: Opened) -> None:
    box = opened.page.locator("[data-curves]").first
    mark = box.locator("[data-run]").first
    mark.focus()
    assert box.locator("output").inner_text() == mark.locator("title").text_content()
    box.locator("input").first.uncheck()
    assert not mark.is_visible()
