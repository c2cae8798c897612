"""Include these under any prefix; the names are part of the contract."""

from django.urls import path

from business_os_banking import invitation, landing, views
from business_os_banking.webhooks.views import webhook

app_name = "business_os_banking"

urlpatterns = [
    path("", views.connection_list, name="connection-list"),
    path("connect/", views.connect, name="connect"),
    path("return/<uuid:reference>/", landing.returned, name="return"),
    path("sessions/<uuid:reference>/status/", landing.session_status, name="session-status"),
    path("connections/<uuid:reference>/", views.connection_detail, name="connection-detail"),
    path("connections/<uuid:reference>/renew/", views.renew, name="connection-renew"),
    path("connections/<uuid:reference>/disconnect/", views.disconnect, name="connection-disconnect"),
    path("invitations/<str:token>/", invitation.invitation, name="invitation"),
    path("webhook/", webhook, name="webhook"),
    path("webhook/<slug:account>/", webhook, name="webhook"),
    path("webhook/<slug:account>/<str:secret>/", webhook, name="webhook"),
]
