"""The site of the suite, and a page of the host's own that opens the journey in a pop-up."""

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.utils.html import escape

PAGE = """<!doctype html><html lang="en"><head><title>Books</title>
<script src="/books/opener.js" defer></script></head>
<body><h1>Books</h1><button type="button">Connect in a pop-up</button><p role="status"></p></body></html>"""

SCRIPT = """
document.querySelector("button").addEventListener("click", () => {
  window.open("/banking/connect/", "bank", "popup,width=480,height=800");
});
"""
LISTEN = """
window.addEventListener("message", (event) => {
  if (event.origin !== window.location.origin || event.data.source !== "business_os_banking") return;
  document.querySelector("[role=status]").textContent =
    `${event.data.reference} ${event.data.status} ${event.data.connection_status}`;
});
"""


POSTING = """<!doctype html><html lang="en"><head><title>Posting</title>
<script src="/posting/poster.js" defer></script></head><body><h1>Posting</h1>
<form class="bank-connect" method="post" action="/banking/connect/">
<input type="hidden" name="csrfmiddlewaretoken" value="{token}"><button>Connect your bank</button></form>
<p role="status"></p></body></html>"""
POSTER = """
const form = document.querySelector(".bank-connect");
form.target = "bank";
form.addEventListener("submit", () => window.open("", "bank", "popup,width=520,height=760"));
"""


def books(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


def opener(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(SCRIPT + LISTEN, content_type="text/javascript")


def icon(_request: HttpRequest) -> HttpResponse:
    # Browsers ask for one, once in their life, and would log that there is none.
    return HttpResponse(status=204)


def framed(request: HttpRequest) -> HttpResponse:
    """A page that shows another one in a frame: any one that its address names."""
    source = request.GET["source"]
    return HttpResponse(f'<!doctype html><title>Frame</title><iframe src="{escape(source)}"></iframe>')


def inline(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("<!doctype html><title>Inline</title><script>document.title = 'Run'</script>")


def posting(_request: HttpRequest) -> HttpResponse:
    """The page of docs/templates.md whose button posts into a pop-up."""
    answer = HttpResponse(POSTING.format(token=get_token(_request)))
    answer["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
    return answer


def poster(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(POSTER + LISTEN, content_type="text/javascript")


urlpatterns = [
    path("posting/", posting),
    path("posting/poster.js", poster),
    path("framed/", framed),
    path("inline/", inline),
    path("favicon.ico", icon),
    path("books/", books),
    path("books/opener.js", opener),
    path("", include("tests.urls")),
]
