"""What ``manage.py check`` says: mistakes in the settings and on the site, before anybody meets them.

Ids are stable: sites silence some. No check queries the database, raises, or repeats the value of a secret.
"""

from business_os_banking.checks import deploy, settings, site  # noqa: F401 - checks register themselves
