from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="admin/login.html"), name="login"),
    path("banking/", include("business_os_banking.urls")),
    path("sandbox/", include("business_os_banking.sandbox.urls")),
]
