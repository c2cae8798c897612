"""The sandbox at ``sandbox/``, and a stand-in for the app's webhook under its real name."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [
    path("sandbox/", include("business_os_banking.sandbox.urls")),
    path("banking/", include(([path("webhook/", webhook, name="webhook")], "business_os_banking"))),
]
