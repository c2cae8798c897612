"""The same site with the language in front of every address."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

urlpatterns = i18n_patterns(path("", include("tests.web.urls")))
