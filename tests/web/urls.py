"""A site with the app's pages and one page of its own."""

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path


@login_not_required
def host_page(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string(
        "{% load business_os_banking %}"
        "{% if label %}{% banking_connect_button label=label next='/books/' %}"
        "{% else %}{% banking_connect_button %}{% endif %}"
    )
    return HttpResponse(template.render({"label": request.GET.get("label")}, request))


urlpatterns = [
    path("login/", LoginView.as_view(template_name="admin/login.html"), name="login"),
    path("host/", host_page),
    path("banking/", include("business_os_banking.urls")),
]
