"""Mount at any prefix, say ``sandbox/``: then ``BASE_URL`` is ``http://127.0.0.1:8000/sandbox``."""

from django.urls import path

from . import api, widget

app_name = "business_os_banking_sandbox"

urlpatterns = [
    path("v2/banking/connect", api.connect, name="api-connect"),
    path("v2/banking/connections", api.connection_list, name="api-connection-list"),
    path(
        "v2/banking/connections/<str:connection_id>",
        api.connection_detail,
        name="api-connection-detail",
    ),
    path("v2/banking/accounts/<str:account_id>", api.account_detail, name="api-account-detail"),
    path("connect", widget.connect, name="connect"),
    path("connect/finished", widget.finished, name="finished"),
]
