"""The page as a browser shows it: opened from a file, without a network."""

import os
from urllib.parse import quote

import pytest

from blursynth import verify, view

from ..conftest import write_scene
from ..optional import needed_program
from .test_view import NASTY, make_panoramas, make_picture, make_windows, write_image


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window and without a network."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = needed_program("chromium")
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,1000")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=needed_program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of panoramas, of which one has a nasty name, and of video."""
    folder = tmp_path_factory.mktemp("browser")
    nasty = NASTY.replace("/", "\u2215")
    for number, name in enumerate([f"{nasty}.png", "b.png", "c.png"]):
        write_image(folder / "sun360" / name, make_picture(128, 256, number))
    write_scene(folder / "gopro/train/GOPR0001_11_00", seed=1, frames=6)
    make_panoramas(folder / "sun360", folder / "shards")
    make_windows(folder / "gopro", folder / "shards")
    out = folder / "view.html"
    view.write_page(
        verify.find_data_sets(folder / "shards"), folder / "shards", out, samples=200, seed=0
    )
    return out


@pytest.fixture
def opened(browser, page):
    """The browser with the page just opened, whatever was clicked before."""
    browser.get_log("browser")
    browser.get(f"file://{quote(str(page))}")
    return browser


def cards(browser, data_set):
    return browser.find_elements("css selector", f"#data-set-{data_set} .card")


def in_card(card, selector, attribute):
    return [e.get_dom_attribute(attribute) for e in card.find_elements("css selector", selector)]


def shown_frame(card):
    """The address of the sharp picture, and what its dots are drawn by."""
    return in_card(card, "img", "src")[1], in_card(card, ".dot", "d")[1]


def wait(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10, poll_frequency=0.02).until(lambda _: condition())


def test_the_page_opens_without_a_network_and_without_a_complaint(opened):
    assert opened.get_log("browser") == []
    assert [e.text for e in opened.find_elements("css selector", "h2")] == ["gopro", "panorama"]
    assert len(cards(opened, 1)) == 4 and len(cards(opened, 2)) == 9
    assert "13 of 13 samples drawn with seed 0" in opened.find_element("id", "drawn").text
    loaded = "return performance.getEntriesByType('resource').filter(e => !/^data:/.test(e.name))"
    assert opened.execute_script(f"{loaded}.length") == 0


def test_every_picture_is_shown_in_the_size_it_is_stored_in(opened):
    sizes = opened.execute_async_script(
        "const done = arguments[0], all = [...document.images];"
        "Promise.all(all.map(i => i.decode())).then(() =>"
        "done(all.map(i => [i.naturalWidth, i.naturalHeight])))"
    )
    assert sorted(map(tuple, sizes)) == [(24, 24)] * 8 + [(48, 48)] * 18


def test_magnified_pictures_are_so_by_whole_numbers(opened):
    widths = opened.execute_script(
        "return [...document.images].map(i => i.getBoundingClientRect().width / i.naturalWidth)"
    )
    assert all(width >= 2 and width == int(width) for width in widths)


def test_nothing_that_the_data_say_becomes_part_of_the_page(opened):
    assert opened.execute_script("return document.scripts.length") == 2
    assert opened.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    text = opened.execute_script("return document.getElementById('data-set-2').textContent")
    assert NASTY in text and NASTY.replace("/", "\u2215") in text


def test_the_slider_changes_the_frame_and_moves_the_dots_along_the_path(opened):
    from selenium.webdriver.common.keys import Keys

    card = cards(opened, 2)[0]
    slider = card.find_element("css selector", "input[type=range]")
    seen = [shown_frame(card)]
    for _ in range(6):
        slider.send_keys(Keys.ARROW_RIGHT)
        seen.append(shown_frame(card))
    assert len({frame for frame, _ in seen}) == len({dots for _, dots in seen}) == 7
    assert slider.get_dom_attribute("aria-valuetext") == "time 1.00, frame 7 of 7"
    assert "7 of 7, t = 1.00" in card.text
    line = in_card(card, "path.path", "d")[1].split("M")[1].split("L")  # of the first point
    ends = [dots.split("M")[1].removesuffix("h0") for _, dots in (seen[0], seen[-1])]
    assert ends == [line[0], line[-1]]
    slider.send_keys(Keys.HOME)
    assert shown_frame(card) == seen[0] and "1 of 7, t = 0.00" in card.text


def test_the_paths_are_drawn_over_blur_and_frame_and_can_be_hidden(opened):
    card = cards(opened, 2)[0]
    for line in card.find_elements("css selector", "path.path"):
        assert line.is_displayed()
        assert opened.execute_script("return arguments[0].getTotalLength()", line) > 5
    lines = in_card(card, "path.path", "d")
    assert len(lines) == 2 and lines[0] == lines[1] and lines[0].count("M") == 5
    opened.find_element("id", "show-paths").click()
    assert not card.find_element("css selector", "path.path").is_displayed()


def test_the_path_is_visible_in_the_pixels_of_the_screen(opened):
    """A screenshot with the paths and one without differ along the path, and only near it."""
    import cv2
    import numpy as np

    card = cards(opened, 2)[0]
    picture = card.find_elements("css selector", ".picture")[1]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    images = []
    for _ in range(2):
        png = np.frombuffer(picture.screenshot_as_png, np.uint8)
        images.append(cv2.imdecode(png, cv2.IMREAD_COLOR).astype(int))
        opened.find_element("id", "show-paths").click()
    changed = np.abs(images[0] - images[1]).max(-1) > 20
    assert 0.002 < changed.mean() < 0.3


def test_play_advances_and_pause_stops_it(opened):
    card = cards(opened, 2)[1]
    button = card.find_element("css selector", "button")
    first = shown_frame(card)
    button.click()
    wait(opened, lambda: shown_frame(card)[0] != first[0] and shown_frame(card)[1] != first[1])
    assert button.text == "Pause"
    button.click()
    stopped = shown_frame(card)
    opened.execute_async_script("setTimeout(arguments[0], 600)")
    assert shown_frame(card) == stopped and button.text == "Play"


def test_play_all_plays_all(opened):
    first = [shown_frame(card) for card in cards(opened, 2)]
    opened.find_element("id", "play-all").click()
    for card, before in zip(cards(opened, 2), first, strict=True):
        wait(opened, lambda card=card, before=before: shown_frame(card) != before)


def test_of_a_video_an_arrow_is_drawn_and_said_to_be_the_mean(opened):
    card = cards(opened, 1)[0]
    assert in_card(card, ".dot", "d") == []
    assert len(in_card(card, "path.path", "d")) == 2 and "mean motion" in card.text
    legend = opened.find_element("id", "data-set-1").text
    assert "only the mean motion from the first frame to the last is known" in legend


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(opened, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wait(opened, lambda: opened.execute_script("return innerWidth") == width)
        root = "document.documentElement"
        assert opened.execute_script(f"return {root}.scrollWidth - {root}.clientWidth") == 0
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(opened, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    ground, ink, quiet = opened.execute_script(
        "const style = (e) => getComputedStyle(e);"
        "const body = style(document.body), drawn = style(document.getElementById('drawn'));"
        "return [body.backgroundColor, body.color, drawn.color]"
    )
    assert (luminance(ground) > 0.5) == (scheme == "light")
    assert contrast(ground, ink) > 10 and contrast(ground, quiet) > 4.5


def luminance(css_rgb):
    """Relative luminance by WCAG of `rgb(r, g, b)`."""
    codes = [int(v) / 255 for v in css_rgb.strip("rgba() ").split(",")[:3]]
    light = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in codes]
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
