"""The settings, typed and read at call time."""

from business_os_banking.conf.accessor import *  # noqa: F403
