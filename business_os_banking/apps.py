from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BusinessOSBankingConfig(AppConfig):
    name = "business_os_banking"
    label = "business_os_banking"
    verbose_name = _("Bank connections")
    # Pinned, so that a site's DEFAULT_AUTO_FIELD never makes a migration appear in our package.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from business_os_banking import mail, signals
        from business_os_banking.checks import database, deploy, settings  # noqa: F401 - checks register themselves

        signals.consent_expiring.connect(mail.send_consent_reminder, dispatch_uid="business_os_banking.mail")
        signals.connection_held.connect(mail.send_question, dispatch_uid="business_os_banking.mail")
