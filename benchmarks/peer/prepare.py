"""Print the path of a webhook endpoint with this secret, made in a database that is up to date."""

import sys

import django
from django.core.management import call_command

from benchmarks.peer import settings

if __name__ == "__main__":
    django.setup()
    call_command("migrate", verbosity=0)
    from djstripe.models import Account, APIKey, WebhookEndpoint

    # An owner that is known already: nothing is asked of Stripe.
    owner, _ = Account.objects.get_or_create(id="acct_benchmarks", defaults={"livemode": False})
    APIKey.objects.update_or_create(
        secret=settings.STRIPE_TEST_SECRET_KEY,
        defaults={"livemode": False, "type": "secret", "djstripe_owner_account": owner},
    )
    endpoint, _ = WebhookEndpoint.objects.update_or_create(
        id="we_benchmarks",
        defaults={
            "secret": sys.argv[1],
            "livemode": False,
            "url": "https://site.example/",
            "enabled_events": ["*"],
            "status": "enabled",
            "djstripe_owner_account": owner,
        },
    )
    print(f"/stripe/webhook/{endpoint.djstripe_uuid}/")
