"""Record the page as it learns a sentence: learning.gif of the README, and card.png of the book.

    python -m benchmarks.recording    needs selenium, Pillow, chromium and its chromedriver
"""

import io
from pathlib import Path
from shutil import which

from PIL import Image
from selenium import webdriver

HERE = Path(__file__).parent
PREPARE = """document.querySelector("header").hidden = true;
const { setTimeout: soon } = window;  // each step waits until it was seen
window.setTimeout = (task, delay = 0) => soon(task, delay + 250);
[...document.querySelectorAll("button")].find((b) => /^Teach it,/.test(b.innerText)).click();"""


def main():
    options, service = webdriver.ChromeOptions(), webdriver.ChromeService(which("chromedriver"))
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    with webdriver.Chrome(options, service) as driver:
        size = {"width": 1000, "height": 700, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(f"{HERE.as_uri()}/../examples/microscope.html#view=teach&only=1")
        shots = [driver.execute_script(PREPARE)]
        while len(shots) < 20 or len(set(shots[-20:])) > 1:
            shots.append(driver.get_screenshot_as_png())
    found = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in dict.fromkeys(shots[1:])]
    palette = found[-1].quantize(32)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in found]
    first.save(HERE / "learning.gif", save_all=True, append_images=others, loop=0,
               duration=[1500, *[80] * (len(others) - 1), 5000])
    others[-1].crop((0, 0, 1000, 525)).save(HERE / "card.png", optimize=True)


if __name__ == "__main__":
    main()
