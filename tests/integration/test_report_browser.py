"""The report in a real browser: its script runs under its own policy, it fits a phone, it asks no network."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.report_kit import failed, failing, operators, table, validation, zero

from lutfarm.report.page import policy, report_html

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
ELSEWHERE = "http://lutfarm.invalid/a.png"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: run scripts/install-system-packages.sh")


@dataclass(frozen=True)
class Shown:
    """`dom` is the page after its scripts ran; `asked` are the addresses that the page, not the browser, asked for."""

    dom: str
    asked: list[str]


@pytest.fixture(scope="module")
def report() -> str:
    entries = [*operators(112), zero("identity"), failed("conv_big", "OutOfMemory", "asked for 40 GB")]
    found = failing(validation(20, calibrated=True), "OutOfMemory: 40 GB")
    return report_html(table(*entries, validations=(found,)), title="fbnet-224", target=0.02)


def show(text: str, folder: Path) -> Shown:
    """Open a page in a browser that reaches nothing beyond this process."""
    page, log = folder / "page.html", folder / "net.json"
    page.write_text(text, encoding="utf-8")
    assert CHROMIUM
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--log-net-log={log}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    events = json.loads(log.read_text())["events"]
    requests = [event["params"] for event in events if "initiator" in event.get("params", {})]
    # The browser's own errands, such as asking for the time, are initiated by nobody.
    return Shown(done.stdout, [request["url"] for request in requests if request["initiator"] != "not an origin"])


def with_script(report: str, extra: str) -> str:
    """The report with more script behind its own, and the policy that allows just that."""
    own = re.findall(r"<script>(.*)</script>", report, re.DOTALL)[0]
    old, new = (html.escape(policy(text)).replace("&#x27;", "&#39;") for text in (own, own + extra))
    assert report.count(old) == 1
    return report.replace(old, new).replace(own, own + extra)


def test_the_page_is_complete_and_asks_no_network(report: str, tmp_path: Path) -> None:
    shown = show(report, tmp_path)

    assert shown.asked == []
    assert 'role="status">114 of 114</span>' in shown.dom
    assert shown.dom.count("<button") == 7
    assert shown.dom.count('<tr><th scope="row" data-value="mbconv_') == 112


def test_a_page_that_asks_the_network_would_be_seen(report: str, tmp_path: Path) -> None:
    without_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report)
    shown = show(without_policy.replace("<main>", f'<main><img src="{ELSEWHERE}">'), tmp_path)

    assert shown.asked == [ELSEWHERE]


def test_the_policy_stops_what_would_ask_the_network(report: str, tmp_path: Path) -> None:
    asking = f'<main><img src="{ELSEWHERE}"><script>document.title = "ran"</script>'
    shown = show(report.replace("<main>", asking), tmp_path)

    assert shown.asked == []
    assert "<title>ran</title>" not in shown.dom
    assert "114 of 114" in shown.dom


def test_the_table_can_be_sorted_and_filtered(report: str, tmp_path: Path) -> None:
    extra = """
const press = (name) => [...document.querySelectorAll("#all thead button")].find((b) => b.textContent === name).click();
const column = () => [...document.querySelectorAll("#all tbody tr:not([hidden])")].map((r) => r.cells[1].dataset.value);
press("latency");
document.body.dataset.up = column().join();
press("latency");
document.body.dataset.down = column().join();
document.getElementById("filter").value = "  k5 CONVERGED ";
document.getElementById("filter").dispatchEvent(new Event("input"));
document.body.dataset.names = [...document.querySelectorAll("#all tbody tr:not([hidden])")]
  .map((r) => r.textContent).every((t) => t.includes("_K5_") && t.includes("converged"));
"""
    shown = show(with_script(report, extra), tmp_path).dom
    up, down = (re.findall(rf'data-{name}="([^"]*)"', shown)[0].split(",") for name in ("up", "down"))
    numbers = [float(value) if value else float("inf") for value in up]

    assert len(numbers) == 114
    assert numbers == sorted(numbers)
    assert numbers[0] == 0  # the identity
    assert up[-1] == ""  # what failed has no latency, and is last
    assert down == up[::-1]
    assert 'data-names="true"' in shown
    assert re.search(r'role="status">(?!114)\d+ of 114', shown)


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_fits_its_window(report: str, width: int, tmp_path: Path) -> None:
    frame = f"""<!doctype html><body>
<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(report)}"></iframe><script>onload = () => {{
const page = document.querySelector("iframe").contentDocument.documentElement;
document.body.dataset.inner = page.clientWidth;
document.body.dataset.needed = page.scrollWidth;
}};</script></body>"""
    shown = show(frame, tmp_path).dom
    inner, needed = (int(re.findall(rf'data-{name}="(\d+)"', shown)[0]) for name in ("inner", "needed"))

    assert width - 20 <= inner <= width  # less a scroll bar
    assert needed <= inner
