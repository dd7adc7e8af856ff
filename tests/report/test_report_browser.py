"""The report in a real browser: what moves, what can be chosen, and what the keys do."""

import base64
import csv
from collections import Counter

import browser
import drawn_folders
import pytest
import run_folders

from demjax import report

TEXT = "document.querySelector('{}').textContent"
GROUPS = "[...document.querySelectorAll('.tree .group')].map((one) => one.ariaLabel)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A browser that shows nothing yet."""
    name = browser.executable()
    if name is None:
        pytest.skip("needs Chromium, which make browser installs")
    with browser.opened(name, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(page, path, folders):
    """Open the report of some run folders."""
    path.write_text(report.page([report.read(folder) for folder in folders]), encoding="utf-8")
    page.said.clear()
    page.open(path)
    page.until("document.querySelector('#now')?.textContent")


def members(page):
    """The table of members as lists of texts."""
    return page.ask(
        "[...document.querySelectorAll('#members tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )


def test_the_slider_moves_the_tree_and_a_click_lists_members(page, tmp_path):
    show(page, tmp_path / "page.html", [run_folders.small(tmp_path / '<b>&"x')])
    assert page.ask(TEXT.format("h1")) == '<b>&"x'
    assert page.ask(TEXT.format("#now")) == "round 2"
    assert "2 groups on level 2, 2 groups on level 1" in page.ask(TEXT.format("#said"))
    assert len(members(page)) == 5
    page.click("[aria-label='group 2 on level 1, 3 clients']")
    assert members(page) == [
        ["0", "3: 57: 2", "6", "1", "0.7000", "0.5000"],
        ["1", "3: 6", "5", "1", "0.7123", "0.5010"],
        ["2", "8: 8", "6", "2", "0.7247", "0.5020"],
    ]
    assert "C-SPE 0.7123" in page.ask(TEXT.format("#members p"))  # the mean of the three

    page.ask("document.querySelector('#round').focus()")
    page.press("ArrowLeft")  # what a browser's slider does with it
    assert page.ask(TEXT.format("#now")) == "round 1"
    assert "2 groups on level 2, 2 groups on level 1" in page.ask(TEXT.format("#said"))
    assert [row[0] for row in members(page)] == ["0", "1"]
    assert members(page)[0][4:] == ["0.4000", "0.3000"]
    page.press("Home")
    assert page.ask(TEXT.format("#now")) == "round 0"
    assert "0 groups on level 1" in page.ask(TEXT.format("#said"))
    assert "No such group in round 0" in page.ask(TEXT.format("#members h3"))
    assert members(page) == []
    assert page.said == []


def test_every_round_shows_exactly_the_groups_of_the_file(page, tmp_path):
    out = run_folders.large(tmp_path / "run", clients=40, rounds=6)
    show(page, tmp_path / "page.html", [out])
    rows = list(csv.DictReader((out / "clients.csv").read_text().splitlines()))
    page.ask("document.querySelector('#round').focus()")
    page.press("Home")
    for done in range(7):
        assert page.ask(TEXT.format("#now")) == f"round {done}"
        now = [row for row in rows if row["round"] == str(done)]
        held = Counter((level, row[f"group_l{level}"]) for row in now for level in (1, 2, 3))
        assert set(page.ask(GROUPS)) == {"all clients (root), 40 clients"} | {
            f"group {slot} on level {level}, {count} client{'s' * (count > 1)}"
            for (level, slot), count in held.items()
        }
        scores = {row["client"]: f"{float(row['c_gen']):.4f}" for row in now}
        shown = members(page)
        assert [row[0] for row in shown] == list(scores)
        assert all(abs(float(row[-1]) - float(scores[row[0]])) < 1.1e-4 for row in shown)
        page.press("ArrowRight")
    assert page.said == []


def test_a_client_is_followed_over_the_rounds(page, tmp_path):
    show(page, tmp_path / "page.html", [run_folders.small(tmp_path / "run")])
    page.click(".tree .client[aria-label^='client 2:']")
    assert page.ask(TEXT.format("#client h3")) == "Client 2 over the rounds"
    told = page.ask("document.querySelector('.strip').getAttribute('aria-label')")
    for part in ("level 1, rounds 1 to 1: group 5", "level 1, rounds 2 to 2: group 2"):
        assert part in told
    assert "2 on level 1" in page.ask(TEXT.format("#client p"))
    assert page.ask("document.querySelectorAll('.link.way').length") == 3  # root, group, group
    assert page.ask("document.querySelectorAll('tr.chosen').length") == 1
    assert "no C-SPE" in page.ask("document.querySelector('[aria-label^=\"client 4:\"]').ariaLabel")
    page.click(".tree .client[aria-label^='client 2:']")
    assert page.ask("document.querySelectorAll('.link.way').length") == 0
    assert page.said == []


def test_everything_can_be_reached_with_the_keyboard(page, tmp_path):
    show(page, tmp_path / "page.html", [run_folders.small(tmp_path / "run")])
    label = "document.activeElement.getAttribute('aria-label')"
    page.ask("document.querySelector('#find').focus()")
    page.press("Tab")
    assert page.ask(label) == "all clients (root), 5 clients"
    for key, found in (
        ("ArrowDown", "group 0 on level 2, 3 clients"),
        ("ArrowRight", "group 1 on level 2, 2 clients"),
        ("ArrowDown", "group 5 on level 1, 2 clients"),
        ("ArrowLeft", "group 2 on level 1, 3 clients"),
        ("ArrowUp", "group 0 on level 2, 3 clients"),
    ):
        page.press(key)
        assert page.ask(label) == found
    page.press("Enter")
    assert page.ask("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert [row[0] for row in members(page)] == ["0", "1", "2"]
    assert page.ask("document.querySelectorAll('.tree [tabindex=\"0\"]').length") == 1
    assert page.said == []


def test_playing_goes_through_the_rounds_and_ends(page, tmp_path):
    show(page, tmp_path / "page.html", [run_folders.small(tmp_path / "run")])
    page.ask(
        "(() => { window.seen = []; const now = document.querySelector('#now');"
        "const watch = new MutationObserver(() => seen.push(now.textContent));"
        "watch.observe(now, {childList: true}); })()"
    )
    page.click("#play")
    page.until("seen.length === 3")
    page.until(f"{TEXT.format('#play')} === 'Play'")
    assert page.ask("seen") == ["round 0", "round 1", "round 2"]
    assert page.said == []


def test_runs_side_by_side_of_which_one_has_no_tree(page, tmp_path):
    runs = [run_folders.small(tmp_path / name, labels=name != "b") for name in ("a", "b", "c")]
    (runs[2] / "clients.csv").unlink()
    show(page, tmp_path / "page.html", runs)
    titles = "[...document.querySelectorAll('#curves h3')].map((one) => one.textContent)"
    assert page.ask(titles) == [
        "C-SPE",
        "C-GEN",
        "Global",
        "G-SPE, level 1",
        "G-SPE, level 2",
    ]
    told = page.ask("document.querySelector('#curves svg[role=img]').getAttribute('aria-label')")
    assert "b: 0.100 in round 0, 0.912 in round 2" in told
    choose = "(() => {{ const one = document.querySelector('#{}'); one.value = '{}';"
    choose += "one.dispatchEvent(new Event('change')); }})()"
    page.ask(choose.format("mode", "label"))
    assert "most examples of label 8" in page.ask(
        "document.querySelector('[aria-label^=\"client 3:\"]').ariaLabel"
    )
    page.ask(choose.format("run", "1"))
    assert page.ask("document.querySelector('#run').options.length") == 2
    assert "no labels.csv" in page.ask("document.querySelector('#members').textContent")
    assert members(page)[1] == ["1", "0.7123", "0.5010"]
    page.click("#curves summary")
    page.until("document.querySelectorAll('#curves details tbody tr').length === 3")
    assert "0.9124" in page.ask(TEXT.format("#curves details tbody tr:last-child"))
    assert page.said == []


def test_seeds_are_a_mean_in_a_band_and_one_legend_explains_all_panels(page, tmp_path):
    runs = [
        run_folders.small(tmp_path / f"{levels}-{seed}", levels=levels, seed=seed)
        for levels in (1, 2)
        for seed in range(4)
    ]
    path = tmp_path / "runs" / "8.html"
    path.parent.mkdir()
    looks = {"colors": ["#112233"] * 4 + ["#445566"] * 4}
    path.write_text(report.page([report.read(run) for run in runs], **looks), encoding="utf-8")
    page.said.clear()
    page.open(path)
    page.until("document.querySelector('#now')?.textContent")
    names = "[...document.querySelectorAll('#curves .legend span:not(.value)')]"
    assert page.ask(f"{names}.map((one) => one.textContent)") == [
        "DemLearn, K = 1",
        "DemLearn, K = 2",
    ]
    assert "mean and range of 4" in page.ask(TEXT.format("#curves .shared"))
    assert page.ask("document.querySelectorAll('#curves .chart:first-child .curve').length") == 2
    strokes = "[...document.querySelectorAll('#curves .chart:first-child .curve')]"
    strokes += ".map((one) => one.getAttribute('stroke'))"
    assert page.ask(strokes) == ["#112233", "#445566"]
    at = "document.querySelector('#curves svg[role=img]')"
    page.ask(
        f"(() => {{ const box = {at}.getBoundingClientRect(); {at}.dispatchEvent("
        "new PointerEvent('pointermove', {clientX: box.right - 1})); })()"
    )
    assert "0.912" in page.ask(TEXT.format("#curves .shared"))
    assert page.said == []


def test_measures_beside_the_score_have_panels_of_their_own(page, tmp_path):
    titles = "[...document.querySelectorAll('#curves .chart h3')].map((one) => one.textContent)"
    runs = [
        drawn_folders.made_run(tmp_path / f"{seed}", seed=seed, extra=("loss", "balanced_accuracy"))
        for seed in range(2)
    ]
    show(page, tmp_path / "page.html", runs[:1])
    assert page.ask(titles)[-2:] == ["balanced accuracy", "loss"]
    last = ".chart:last-child"
    assert page.ask(f"document.querySelectorAll('#curves {last} .curve').length") == 3
    show(page, tmp_path / "both.html", runs)
    assert page.ask(titles)[-3:] == ["loss, C-SPE", "loss, C-GEN", "loss, Global"]
    assert page.said == []


def test_a_thousand_clients_are_blocks_that_do_not_freeze(page, tmp_path):
    show(page, tmp_path / "page.html", [run_folders.large(tmp_path / "x", clients=1000, rounds=9)])
    assert page.ask("document.querySelectorAll('.tree .client').length") == 0
    assert 8 <= page.ask("document.querySelectorAll('.tree .block').length") <= 8 * 9
    assert page.ask("document.querySelectorAll('.tree .group').length") == 1 + 2 + 4 + 8
    assert len(members(page)) == 60
    page.click("button.all")
    assert len(members(page)) == 1000
    seconds = page.ask(
        "(() => { const slider = document.querySelector('#round'), begin = performance.now();"
        "for (let i = 0; i < 10; i++)"
        "{ slider.value = i; slider.dispatchEvent(new Event('input')); }"
        "return (performance.now() - begin) / 1e4; })()"
    )
    assert seconds < 1  # a move takes some hundredths
    assert page.said == []


def test_figures_are_shown_as_images(page, tmp_path):
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><script>no</script></svg>'
    )
    run = report.read(run_folders.small(tmp_path / "run"))
    path = tmp_path / "page.html"
    image = f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"
    path.write_text(report.page([run], figures={"a < b": image}), encoding="utf-8")
    page.said.clear()
    page.open(path)
    page.until("document.querySelector('#hierarchy').textContent")
    assert page.ask("document.querySelector('figure img').naturalWidth") == 30
    assert page.ask(TEXT.format("figcaption")) == "a < b"
    assert page.said == []


def test_a_run_of_which_nothing_was_measured(page, tmp_path):
    out = run_folders.small(tmp_path / "run", finished=False)
    for name in ("metrics.csv", "clients.csv"):
        (out / name).unlink()
    path = tmp_path / "page.html"
    path.write_text(report.page([report.read(out)]), encoding="utf-8")
    page.said.clear()
    page.open(path)
    page.until("document.querySelector('#hierarchy').textContent")
    assert "Nothing was measured" in page.ask(TEXT.format("#curves"))
    assert page.said == []
