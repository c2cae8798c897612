"""The whole journey without a mouse."""

from playwright.sync_api import Page, expect

from . import journey
from .conftest import Site

FOCUS = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const label = element.labels && element.labels.length ? element.labels[0].innerText : element.innerText;
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const around = element.closest("label");
  const frame = around ? getComputedStyle(around) : style;
  const framed = frame.outlineStyle !== "none" && parseFloat(frame.outlineWidth) > 0;
  return { label: (label || "").trim(), visible: outlined || framed, tag: element.tagName };
}"""
MOST_STOPS = 30


def tab_to(page: Page, label: str) -> None:
    """Press Tab until the focus is on what is called *label*; every stop on the way must be visible."""
    stops = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["tag"] == "BODY":
            continue
        assert focus["visible"], f"nobody sees that the focus is on {focus}"
        stops.append(focus["label"])
        if focus["label"].startswith(label):
            return
    raise AssertionError(f"Tab does not lead to {label!r}, only to {stops}")


def test_connect_renew_and_disconnect_by_keyboard(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/banking/")
    tab_to(page, "Connect your bank")
    page.keyboard.press("Enter")
    journey.sees(page, "Connect your bank")
    tab_to(page, "Your bank")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio").nth(1)).to_be_checked()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio").nth(0)).to_be_checked()
    tab_to(page, "Choose your bank")
    page.keyboard.press("Space")

    journey.sees(page, "Choose your bank")
    journey.is_at_the_bank(page)
    tab_to(page, "D\nDemobank")
    page.keyboard.press("Enter")
    journey.sees(page, "Log in to Demobank")
    expect(page.locator("#id_username")).to_be_focused()
    page.keyboard.type("username")
    tab_to(page, "Password")
    page.keyboard.type("secret")
    page.keyboard.press("Enter")
    journey.sees(page, "Allow access?")
    tab_to(page, "Allow")
    page.keyboard.press("Space")

    journey.sees(page, journey.CONNECTED)
    assert journey.stands(journey.latest_session()) == ("succeeded", "active")
    tab_to(page, "Continue")
    page.keyboard.press("Enter")
    journey.sees(page, journey.LIST)

    tab_to(page, "Disconnect")
    page.keyboard.press("Enter")
    journey.sees(page, "Disconnect this bank?")
    tab_to(page, "Disconnect")
    page.keyboard.press("Enter")
    journey.sees(page, journey.LIST)
    assert journey.stands(journey.latest_session()) == ("succeeded", "disconnected")
