"""A site of which only the app is to be described."""

from django.urls import include, path

urlpatterns = [path("banking/", include("business_os_banking.urls"))]
