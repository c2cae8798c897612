from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from example_project.books import views

login = LoginView.as_view(redirect_authenticated_user=True, extra_context={"demo": settings.SANDBOX})

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("clients/<int:pk>/", views.client, name="client"),
    path("login/", login, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("favicon.ico", login_not_required(RedirectView.as_view(url=static("site/icon.svg")))),
    path("banking/", include("business_os_banking.urls")),
]

if settings.SANDBOX:
    urlpatterns.append(path("sandbox/", include("business_os_banking.sandbox.urls")))
