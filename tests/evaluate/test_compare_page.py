"""The page in a browser: what is asked by keys, mouse and fingers is seen, pixel for pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgecodec.picture import Pixels, from_pixels
from edgecodec_evaluate.page import Content, Point, as_html
from edgecodec_evaluate.page.embedding import embedded
from support.headless_browser import CHROMIUM, Page, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

WIDTH, HEIGHT = 320, 200
WINDOW = (1000, 900)
NAMES = ["original", "<b>one</b>", "two"]


def picture(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


PICTURES = [picture(seed) for seed in range(len(NAMES))]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    points = tuple(
        Point(name, f"{name}.edgc", 1234, 0.123, 30.5, 0.9, embedded(from_pixels(pixels)))
        for name, pixels in zip(NAMES, PICTURES, strict=True)
    )
    written = tmp_path_factory.mktemp("page") / "page.html"
    written.write_bytes(as_html(Content("a <title>", WIDTH, HEIGHT, points)))
    return written


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(tab: Page, file: Path) -> Iterator[Page]:
    """The page as it is when it is opened. It does what it does without an error, and without a request."""
    tab.show(*WINDOW)
    tab.open(file)
    tab.wait_for("document.documentElement.dataset.state === 'ready'")
    settled(tab)
    yield tab
    assert tab.problems == []


def settled(page: Page) -> None:
    """Until what was asked for is drawn."""
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def state(page: Page) -> dict[str, Any]:
    settled(page)
    found: dict[str, Any] = page.run("JSON.parse(document.documentElement.dataset.view)")
    return found


def canvas(page: Page) -> npt.NDArray[np.uint8]:
    """What is drawn, (height, width, 4) in pixels of the screen."""
    settled(page)
    url = page.run("document.querySelector('canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def drawn(page: Page) -> npt.NDArray[np.uint8]:
    """The part of the canvas that is not clear, (height, width, 3)."""
    pixels = canvas(page)
    rows, columns = np.nonzero(pixels[:, :, 3])
    return pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, :3]


def place(page: Page, selector: str = "#stage") -> tuple[float, float]:
    """The middle of an element in the window."""
    code = f"(box => [box.x + box.width / 2, box.y + box.height / 2])(document.querySelector({selector!r})"
    x, y = page.run(code + ".getBoundingClientRect())")
    return x, y


def enlarged(pixels: Pixels, times: int) -> Pixels:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def test_both_sides_are_the_pictures_pixel_for_pixel(page: Page) -> None:
    """320 pixels fit three times into the window."""
    shown = drawn(page)
    assert state(page)["scale"] == 3 and shown.shape == (3 * HEIGHT, 3 * WIDTH, 3)
    half = 3 * WIDTH // 2
    np.testing.assert_array_equal(shown[:, :half], enlarged(PICTURES[0], 3)[:, :half])
    np.testing.assert_array_equal(shown[:, half:], enlarged(PICTURES[1], 3)[:, half:])


def test_the_divider_moves_by_keys(page: Page) -> None:
    for key, share in (("ArrowRight", 0.51), ("PageUp", 0.61), ("ArrowLeft", 0.6), ("End", 1), ("ArrowUp", 1)):
        page.press(key)
        assert state(page)["divider"] == pytest.approx(share)
    np.testing.assert_array_equal(drawn(page), enlarged(PICTURES[0], 3))
    page.press("Home")
    np.testing.assert_array_equal(drawn(page), enlarged(PICTURES[1], 3))
    slider = "document.querySelector('[role=slider]')"
    assert page.run(f"{slider}.getAttribute('aria-valuenow')") == "0"
    assert page.run(f"{slider}.getAttribute('aria-valuetext')") == "0 % original, the rest <b>one</b>"


def test_the_divider_moves_by_mouse_and_by_finger(page: Page) -> None:
    x, y = place(page)
    page.drag((x, y), (x + 50, y + 90), (x + 96, y))
    assert state(page)["divider"] == pytest.approx(0.6, abs=0.002)
    assert place(page, "#divider")[0] == pytest.approx(x + 96, abs=1)
    page.drag((x - 240, y), (x - 240, y))  # a click on the picture takes it there
    assert state(page)["divider"] == pytest.approx(0.25, abs=0.002)
    page.touch([(x - 240, y)], [(x, y)], [(x + 2000, y)])
    assert state(page)["divider"] == 1


def test_numbers_choose_points(page: Page) -> None:
    page.press("2", code="Digit2")
    page.press("!", shift=True, code="Digit1")  # what Shift makes of it depends on the keyboard
    page.press("7", code="Digit7")  # there is none
    assert (state(page)["left"], state(page)["right"]) == (1, 2)
    page.press("x")
    assert (state(page)["left"], state(page)["right"]) == (2, 1)
    pressed = page.run("[...document.querySelectorAll('#points button')].map(each => each.ariaPressed)")
    assert pressed == ["false", "false", "false", "true", "true", "false"]


def test_cards_choose_points_and_show_text_as_text(page: Page) -> None:
    page.drag(*2 * [place(page, "#points li:nth-child(3) dl")])
    page.drag(*2 * [place(page, "#points li:nth-child(2) [data-side=left]")])
    assert (state(page)["left"], state(page)["right"]) == (1, 2)
    card = page.run("document.querySelector('#points li:nth-child(2)').innerText").split("\n")
    assert "<b>one</b>" in card and "<b>one</b>.edgc" in card
    assert {"1,234 bytes", "0.123 bpp", "30.50 dB", "0.9000"} <= set(card)
    assert page.run("document.querySelector('#left-label').textContent") == "<b>one</b> · 1,234 bytes"
    page.press(" ", hold=True)  # and does not press the button again
    assert state(page)["held"] is True
    page.release(" ")
    assert state(page)["held"] is False


def test_space_shows_the_left_picture_in_the_place_of_the_right(page: Page) -> None:
    page.press(" ", hold=True)
    np.testing.assert_array_equal(drawn(page), enlarged(PICTURES[0], 3))
    page.release(" ")
    page.press("m")
    assert state(page)["mode"] == "flip"
    np.testing.assert_array_equal(drawn(page), enlarged(PICTURES[1], 3))
    page.press(" ", hold=True)
    np.testing.assert_array_equal(drawn(page), enlarged(PICTURES[0], 3))
    page.release(" ")
    page.drag(*2 * [place(page)])  # a tap
    np.testing.assert_array_equal(drawn(page), enlarged(PICTURES[0], 3))


def test_side_by_side(page: Page) -> None:
    page.drag(*2 * [place(page, "[data-mode=beside]")])
    pixels = canvas(page)
    assert state(page)["mode"] == "beside" and state(page)["scale"] == 1
    assert page.run("document.querySelector('#divider').hidden")
    for half, expected in zip(np.array_split(pixels, 2, axis=1), PICTURES, strict=False):
        rows, columns = np.nonzero(half[:, :, 3])
        shown = half[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, :3]
        np.testing.assert_array_equal(shown, expected)


def test_zoom_by_keys_keeps_the_middle_and_pixels_crisp(page: Page) -> None:
    page.press("o")
    assert state(page)["scale"] == 1
    page.press("Home")
    np.testing.assert_array_equal(drawn(page), PICTURES[1])
    for scale in (2, 3, 4, 6, 8):
        page.press("+")
        assert state(page)["scale"] == scale
    shown = canvas(page)
    height, width = shown.shape[:2]
    top, left = round(height / 2 - 8 * HEIGHT / 2), round(width / 2 - 8 * WIDTH / 2)
    np.testing.assert_array_equal(shown[:, :, :3], enlarged(PICTURES[1], 8)[-top : height - top, -left : width - left])
    page.press("-")
    assert state(page)["scale"] == 6
    page.press("f")
    assert (state(page)["scale"], state(page)["fitted"]) == (3, True)


def test_the_wheel_keeps_what_is_under_the_pointer(page: Page) -> None:
    x, y = place(page)
    before = state(page)
    for _ in range(5):
        page.mouse("mouseWheel", x + 300, y - 120, deltaX=0, deltaY=-200)
    after = state(page)
    assert after["scale"] == pytest.approx(3 * np.exp(2), rel=1e-6) and not after["fitted"]
    for axis, offset in (("x", 300), ("y", -120)):
        kept = before[axis] + offset / before["scale"]
        assert after[axis] + offset / after["scale"] == pytest.approx(kept, abs=0.5)
    for _ in range(20):
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=400)
    assert state(page)["scale"] == 1  # not smaller than the window and than itself


def test_an_enlarged_picture_is_dragged_within_its_edges(page: Page) -> None:
    x, y = place(page)
    for _ in range(3):
        page.press("+")
    assert state(page)["scale"] == 8
    page.drag((x + 200, y), (x + 100, y), (x + 40, y + 80))
    moved = state(page)
    assert (moved["x"], moved["y"]) == (WIDTH / 2 + 20, HEIGHT / 2 - 10) and moved["divider"] == 0.5
    page.drag((x + 200, y), (x - 4000, y - 4000))
    stage = canvas(page)
    assert stage[:, :, 3].min() == 255
    np.testing.assert_array_equal(stage[-1, -1, :3], PICTURES[1][-1, -1])
    page.press("ArrowLeft", shift=True)
    assert state(page)["x"] == pytest.approx(WIDTH - stage.shape[1] / 16 - 8)
    page.drag((x, y), (x - 100, y))  # the divider is within reach
    assert state(page)["divider"] == pytest.approx(0.4)


def test_two_fingers_zoom(page: Page) -> None:
    page.show(*WINDOW, touch=True)
    x, y = place(page)
    page.touch([(x - 50, y), (x + 50, y)], [(x - 75, y), (x + 75, y)], [(x - 100, y), (x + 100, y)])
    assert state(page)["scale"] == pytest.approx(6, rel=0.01)
    assert state(page)["x"] == pytest.approx(WIDTH / 2, abs=0.5)


def test_a_double_click_goes_closer_and_back(page: Page) -> None:
    x, y = place(page)
    for scale, fitted in ((6, False), (3, True)):
        for count in (1, 2):
            page.mouse("mousePressed", x, y, clickCount=count)
            page.mouse("mouseReleased", x, y, clickCount=count)
        assert (state(page)["scale"], state(page)["fitted"]) == (scale, fitted)


SIDES = ("left", "right")
SCREENS = [((360, 640), 3.0), ((640, 360), 2.0), ((3840, 2160), 1.0), ((800, 600), 1.25), ((700, 316), 1.0)]


@pytest.mark.parametrize(("size", "density"), SCREENS)
def test_every_screen(page: Page, size: tuple[int, int], density: float) -> None:
    """One pixel of the picture is one of the screen, nothing is wider than the window, and controls are in sight."""
    page.show(*size, density)
    page.press("o")
    page.press("Home")
    assert state(page)["scale"] == 1
    np.testing.assert_array_equal(drawn(page), PICTURES[1])
    assert canvas(page).shape[1] == pytest.approx(size[0] * density, abs=1)
    assert page.run("document.documentElement.scrollWidth") <= size[0]
    assert page.run("document.documentElement.scrollHeight") <= size[1]
    outside = page.run(
        "[...document.querySelectorAll('header button')].filter(each => (box => box.left < 0 || box.right > innerWidth"
        " || box.top < 0)(each.getBoundingClientRect())).length"
    )
    assert outside == 0
    assert page.run("document.querySelector('#stage').clientHeight") > size[1] / 3
    page.press("f")
    settled(page)
    left, right = (
        page.run(f"document.querySelector('#{side}-label').getBoundingClientRect().toJSON()") for side in SIDES
    )
    assert 0 <= left["left"] < left["right"] < right["left"] < right["right"] <= size[0]


def test_controls_can_be_reached_by_tab_and_have_names(page: Page) -> None:
    names = []
    for _ in range(40):
        page.press("Tab")
        code = "(each => [each.tagName, each.ariaLabel || each.textContent.trim(), each.matches(':focus-visible')])"
        tag, name, visible = page.run(f"{code}(document.activeElement)")
        if tag == "BODY":
            break
        names.append(name)
        assert name and visible
    assert len(names) == 15
    assert {"Slider", "Zoom in", "Help", "Divider", "two on the left"} <= set(names)


def test_help_opens_and_closes(page: Page) -> None:
    page.press("?", shift=True)
    assert page.run("document.querySelector('dialog').open")
    page.press("x")
    assert state(page)["left"] == 0  # keys are not the page's meanwhile
    page.drag(*2 * [place(page, "dialog button")])
    assert not page.run("document.querySelector('dialog').open")


def test_nothing_moves_while_the_page_appears(page: Page) -> None:
    """The layout shifts that a browser counts (Layout Instability, W3C), before anything is done."""
    shifts = page.run(
        "new Promise(done => { const shifts = []; const add = list => shifts.push(...list.getEntries());"
        "new PerformanceObserver(add).observe({ type: 'layout-shift', buffered: true });"
        "setTimeout(() => done(shifts.map(each => each.value)), 50) })"
    )
    assert sum(shifts) < 0.001


def test_colours_follow_the_system(page: Page) -> None:
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    page.show(*WINDOW, dark=False)
    assert page.run(brightness) > 200
    page.show(*WINDOW, dark=True)
    assert page.run(brightness) < 50


def test_no_other_script_runs(page: Page) -> None:
    """Even if a name became markup."""
    page.run("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.hostile = 1\">')")
    page.run("document.body.append(Object.assign(document.createElement('script'), { text: 'window.hostile = 2' }))")
    settled(page)
    assert page.run("window.hostile === undefined")
    assert page.problems and all("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()
