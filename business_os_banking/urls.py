"""Include these under any prefix; the names are part of the contract."""

from django.urls import include, path, register_converter

from business_os_banking.conf.secret import Secret
from business_os_banking.web import finishing, invitation, landing, views
from business_os_banking.webhooks.views import webhook


class _SecretConverter:
    """A segment that the frames of Django and of middleware show as ``***``."""

    regex = "[^/]+"

    def to_python(self, value: str) -> Secret:
        return Secret(value)

    def to_url(self, value: Secret | str) -> str:
        return Secret(value).open()


register_converter(_SecretConverter, "banking_secret")

app_name = "business_os_banking"

urlpatterns = [
    path("", views.connection_list, name="connection-list"),
    path("connect/", views.connect, name="connect"),
    path("return/<uuid:reference>/", landing.returned, name="return"),
    path("return/<uuid:reference>/answer/", finishing.answer, name="return-answer"),
    path("return/<uuid:reference>/<banking_secret:key>/", finishing.finish, name="return-finish"),
    path("sessions/<uuid:reference>/status/", landing.session_status, name="session-status"),
    path("sessions/<uuid:reference>/retry/", views.retry, name="session-retry"),
    path("connections/<uuid:reference>/", views.connection_detail, name="connection-detail"),
    path("connections/<uuid:reference>/renew/", views.renew, name="connection-renew"),
    path("connections/<uuid:reference>/disconnect/", views.disconnect, name="connection-disconnect"),
    path("connections/<uuid:reference>/answer/", views.answer, name="connection-answer"),
    path("api/", include("business_os_banking.api.urls")),
    path("invitations/<banking_secret:token>/", invitation.invitation, name="invitation"),
    path("webhook/", webhook, name="webhook"),
    path("webhook/<slug:account>/", webhook, name="webhook"),
    path("webhook/<slug:account>/<banking_secret:secret>/", webhook, name="webhook"),
    # Without the slash at the end: Django would redirect there, and what a sender posts is lost on the way.
    path("webhook", webhook),
    path("webhook/<slug:account>", webhook),
    path("webhook/<slug:account>/<banking_secret:secret>", webhook),
    # An address that was cut off on its way, by a mail program say, is answered like one that nobody knows.
    path("return/<str:reference>/", landing.returned),
    path("sessions/<str:reference>/status/", landing.session_status),
]
