"""Uses the page as a person would: page.py URL FOLDER; pictures of it go into the folder.

Chromium and its Ed25519 are the references; nothing here comes from the code under test.
"""

import pathlib
import sys

from playwright.sync_api import expect, sync_playwright

URL, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
TIMEOUT_MS = 60_000


def main():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        context.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        page = context.new_page()
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") and "Failed to load resource" not in message.text else None)
        requests = []
        page.on("request", lambda request: requests.append(request))
        page.goto(URL)
        look(page)
        saved = take_part(page)
        assert title(page) == "Lyceum · dev · 13", title(page)
        look_up(page)
        again(page, saved)
        narrow(page)
        assert not complaints, complaints
        assert all(request.url.startswith((URL, "data:", "blob:")) for request in requests), "nothing from elsewhere"
        assert not any("PRIVATE" in (request.post_data or "") for request in requests), "the key stays here"
        browser.close()


def title(page):
    return page.title()


def look(page):
    """What there is, as text."""
    expect(page.locator("#health")).to_contain_text("In step with the network")
    expect(page.locator("#blocks tr")).to_have_count(10)
    expect(page.locator("#courses")).to_contain_text("Logic C1 · Philosophy · Hypatia · 1 of 30 enrolled")
    expect(page.locator("#courses")).to_contain_text("<img src=x onerror=")
    assert page.locator("#courses img").count() == 0
    expect(page.locator("#enrolments")).to_contain_text("S1-0 in C1: 93 points")
    expect(page.locator("#certificates")).to_contain_text("Logic, passed")
    expect(page.locator("#proposals")).to_contain_text("0 yes, 0 no")
    page.screenshot(path=FOLDER / "look.png", full_page=True)


def take_part(page):
    """Makes a key, registers a student, votes; gives the saved key file."""
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator("#key-note")).to_contain_text("You are did:key:z6Mk")
    page.get_by_label("Student number").fill("S77")
    page.get_by_label("Name", exact=True).fill("Émilie du Châtelet")
    page.get_by_label("Department").fill("Physics")
    page.get_by_role("button", name="Sign and send").click()
    expect(page.locator("#sent li").first).to_contain_text("done, in block 12")
    expect(page.locator("#students")).to_contain_text("Émilie du Châtelet")
    page.get_by_role("button", name="Vote yes").click()
    expect(page.locator("#send")).to_be_focused()
    page.get_by_role("button", name="Sign and send").click()
    expect(page.locator("#sent li").first).to_contain_text("done, in block 13")
    expect(page.locator("#proposals")).to_contain_text("1 yes, 0 no")
    page.screenshot(path=FOLDER / "took-part.png", full_page=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the key").click()
    saved = FOLDER / "key.pem"
    download.value.save_as(saved)
    return saved


def look_up(page):
    page.locator("#query").fill("1")
    page.locator("#find-form").get_by_role("button").click()
    expect(page.locator("#found")).to_contain_text('"height": 1,')
    page.locator("#query").fill("0" * 63 + "g")
    page.locator("#find-form").get_by_role("button").click()
    expect(page.locator("#found")).to_contain_text("want a height")
    page.locator("#find").screenshot(path=FOLDER / "found.png")


def again(page, saved):
    """The saved key is the same one; a vote counts once; the refusal is said."""
    before = page.locator("#key-note").text_content()
    page.reload()
    page.locator("#key-file").set_input_files(saved)
    expect(page.locator("#key-note")).to_have_text(before)
    page.locator("#action").select_option("vote_proposal")
    page.get_by_label("Proposal number").fill("P1")
    page.get_by_role("button", name="Sign and send").click()
    expect(page.locator("#sent li").first).to_contain_text("already voted")
    page.locator("#paste").fill("a.b")
    page.get_by_role("button", name="Send the token").click()
    expect(page.locator("#sent li").first).to_contain_text("a token has 3 parts")


def narrow(page):
    """A telephone: nothing sticks out."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.screenshot(path=FOLDER / "narrow.png", full_page=True)
    assert wide <= 390, wide


main()
