"""Nothing may go wrong unseen: whatever the browser complains of fails the test."""

from collections.abc import Collection

from playwright.sync_api import BrowserContext, ConsoleMessage, WebError


class Watch:
    """Collects the console errors (violations of the Content-Security-Policy are among them) and the
    exceptions of all pages of a context. Chromium logs an answer of 400 and above as an error too, unless
    the test *expects* that status.
    """

    def __init__(self, context: BrowserContext, expects: Collection[int] = ()) -> None:
        self.complaints: list[str] = []
        self._expected = expects
        context.on("console", self._console)
        context.on("weberror", self._exception)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if any(f"responded with a status of {status} " in message.text for status in self._expected):
            return
        self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _exception(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")
