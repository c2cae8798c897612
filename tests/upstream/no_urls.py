"""The URLs of a site that forgot ours."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
