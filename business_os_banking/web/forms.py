"""What a customer may send when starting a connection."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from business_os_banking import conf
from business_os_banking.flows.begin import check_email
from business_os_banking.upstream.client import EMAIL_MAX_LENGTH
from business_os_banking.wording import texts

# In the customer's words; the technical value stays out of sight.
API_CHOICES = [
    ("partner", _("Your bank")),
    ("openbanking", _("American Express, Revolut and similar")),
]


class ConnectForm(forms.Form):
    """The fields of a connect POST; all of them are optional.

    ``scopes`` can only narrow what the account's settings allow. ``next`` is taken as it is: the view drops
    an address that is not safe, since a mistake of the linking page is nothing to trouble the customer with.
    """

    api = forms.ChoiceField(
        label=_("What would you like to connect?"),
        choices=API_CHOICES,
        required=False,
        widget=forms.RadioSelect,
    )
    email = forms.EmailField(
        label=_("E-mail address"),
        required=False,
        max_length=EMAIL_MAX_LENGTH,
        validators=[check_email],
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    scopes = forms.MultipleChoiceField(required=False)
    next = forms.Field(required=False)

    def __init__(self, *args: Any, account: conf.Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes = self.fields["scopes"]
        assert isinstance(scopes, forms.MultipleChoiceField)  # noqa: S101 - for the type checker
        scopes.choices = [(value, label) for value, label, _text in scopes_in_words(account.scopes)]

    @property
    def offered_scopes(self) -> list[str]:
        """Return those of the given scopes that the account offers. The others are not written back into the page:
        they are in no field that the customer could correct."""
        offered = {value for value, _label in self.fields["scopes"].choices}  # type: ignore[attr-defined]
        return [scope for scope in self["scopes"].value() or [] if scope in offered]


def scopes_in_words(scopes: Sequence[str]) -> list[tuple[str, texts.Text, texts.Text]]:
    """Return (value, label, description) for each scope; one that we do not know stands for itself."""
    return [(scope, *texts.SCOPES.get(scope, (scope, ""))) for scope in scopes]
