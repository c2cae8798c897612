"""Nothing may go wrong unseen: whatever the browser complains of fails the test."""

from collections.abc import Collection

from playwright.sync_api import BrowserContext, ConsoleMessage, WebError


def watch(context: BrowserContext, complaints: list[str], expects: Collection[int] = ()) -> None:
    """Add to *complaints* the console errors (violations of the Content-Security-Policy are among them) and the
    exceptions of all pages of a context. Chromium logs an answer of 400 and above as an error too, unless the
    test *expects* that status.
    """

    def console(message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if any(f"responded with a status of {status} " in message.text for status in expects):
            return
        complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def exception(error: WebError) -> None:
        complaints.append(f"exception: {error.error}")

    context.on("console", console)
    context.on("weberror", exception)
