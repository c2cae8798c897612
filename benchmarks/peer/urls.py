from typing import Any

from django.urls import include, path

urlpatterns = [path("stripe/", include("djstripe.urls", namespace="djstripe"))]


def nothing(_trigger: Any, **_: Any) -> None:
    pass
