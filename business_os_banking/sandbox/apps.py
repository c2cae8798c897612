from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SandboxConfig(AppConfig):
    name = "business_os_banking.sandbox"
    label = "business_os_banking_sandbox"
    verbose_name = _("Business OS banking sandbox")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (importing it registers the checks)
