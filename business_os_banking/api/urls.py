"""Included by the app's own URLconf: the names are ``business_os_banking:api:…``."""

from django.urls import path, re_path

from business_os_banking.api import views

app_name = "api"

urlpatterns = [
    path("connections/", views.Connections.as_view(), name="connection-list"),
    path("connections/<uuid:reference>/", views.Connection.as_view(), name="connection-detail"),
    path("connections/<uuid:reference>/renew/", views.Renew.as_view(), name="connection-renew"),
    path(
        "connections/<uuid:reference>/disconnect/", views.Disconnect.as_view(), name="connection-disconnect"
    ),
    path("connections/<uuid:reference>/answer/", views.Answer.as_view(), name="connection-answer"),
    path("sessions/<uuid:reference>/finish/", views.Finish.as_view(), name="session-finish"),
    path("sessions/<uuid:reference>/", views.Session.as_view(), name="session-detail"),
    # An unknown address answers with the body of every other error, and not with the site's page,
    # whatever characters are in it: "path" matches no line break.
    re_path(r"^(?:[\s\S]+/)?\Z", views.UnknownAddress.as_view()),
]
