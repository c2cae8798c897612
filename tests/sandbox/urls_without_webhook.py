"""A site that knows nothing of the app: there is no webhook to be found by name."""

from django.urls import include, path

urlpatterns = [path("sandbox/", include("business_os_banking.sandbox.urls"))]
