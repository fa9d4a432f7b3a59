"""A headless Chromium that tests look at pages with."""

from collections.abc import Iterator
import contextlib
import pathlib
import shutil
from typing import Any

import pytest

# Arguments for containers and virtual machines without a screen.
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
)
_BROWSERS = ("chromium", "google-chrome", "chrome")


@contextlib.contextmanager
def start(downloads: pathlib.Path) -> Iterator[Any]:
  """Yields a driver of selenium; skips where there is no browser.

  Args:
    downloads: the directory that files are saved to.
  """
  webdriver = pytest.importorskip("selenium.webdriver")
  browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
  driver_path = shutil.which("chromedriver")
  if browser is None or driver_path is None:
    pytest.skip("there is no Chromium with its driver (chromium-driver)")
  options = webdriver.ChromeOptions()
  for argument in _ARGUMENTS:
    options.add_argument(argument)
  options.binary_location = browser
  options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
  service = webdriver.ChromeService(driver_path)
  driver = webdriver.Chrome(options, service)
  driver.execute_cdp_cmd(
      "Browser.setDownloadBehavior",
      {"behavior": "allow", "downloadPath": str(downloads)},
  )
  try:
    yield driver
  finally:
    driver.quit()


def show(
    driver: Any, page: pathlib.Path, width: int = 1200, scheme: str = "light"
) -> None:
  """Opens a page in a window of a width, in a colour scheme."""
  driver.execute_cdp_cmd(
      "Emulation.setDeviceMetricsOverride",
      {
          "width": width,
          "height": 900,
          "deviceScaleFactor": 1,
          "mobile": width < 500,
      },
  )
  features = [{"name": "prefers-color-scheme", "value": scheme}]
  driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
  driver.get(page.as_uri())
  # Figures take the size of their places in the first frame.
  frames = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
  driver.execute_async_script(frames)


def find(driver: Any, selector: str) -> Any:
  """Returns the first element that matches a CSS selector."""
  return driver.find_element("css selector", selector)


def find_all(driver: Any, selector: str) -> list[Any]:
  """Returns the elements that match a CSS selector."""
  return driver.find_elements("css selector", selector)


def errors(driver: Any) -> list[str]:
  """Returns what the page wrote to the console."""
  return [entry["message"] for entry in driver.get_log("browser")]


def widths(driver: Any) -> tuple[int, int]:
  """Returns the width that the content of a page takes, and the window's."""
  root = "document.documentElement"
  return tuple(
      driver.execute_script(f"return [{root}.scrollWidth, {root}.clientWidth]")
  )


def readout(driver: Any, slot: str) -> dict[str, float]:
  """Returns the values below a figure, by the names of its lines.

  Args:
    driver: shows a page.
    slot: a CSS selector of the figure, or of one of its plots.
  """
  values = {}
  for row in find_all(driver, f"{slot} .readout tr"):
    name, value, *_ = (cell.text for cell in find_all(row, "td"))
    values[name] = float(value)
  return values


def choose(driver: Any, label: str, text: str, slot: str) -> None:
  """Selects an option of a list by the words of both."""
  for box in find_all(driver, f"{slot} label"):
    if box.text.startswith(label):
      for option in find_all(box, "option"):
        if option.text == text:
          option.click()
          return
  raise AssertionError(f"{label}: there is no {text}")


def toggle(driver: Any, label: str, slot: str) -> None:
  """Clicks the checkbox of a label."""
  for box in find_all(driver, f"{slot} label"):
    if box.text.strip() == label:
      find(box, "input").click()
      return
  raise AssertionError(f"there is no {label}")
