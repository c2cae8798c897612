"""The settings, typed and read at call time. What a site may use is in ``__all__``."""

from business_os_banking.conf.accessor import account, make_account, settings
from business_os_banking.conf.accessor import require_usable as require_usable
from business_os_banking.conf.kinds import API_OPERATIONS as API_OPERATIONS
from business_os_banking.conf.kinds import SETTING as SETTING
from business_os_banking.conf.kinds import variable_name as variable_name
from business_os_banking.conf.table import APIS as APIS
from business_os_banking.conf.table import SCOPES as SCOPES
from business_os_banking.conf.table import Account

__all__ = ["Account", "account", "make_account", "settings"]
