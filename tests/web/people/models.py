"""Users with a key that is no number, who sign in by e-mail address and have neither name nor permissions."""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class PersonManager(BaseUserManager["Person"]):
    def create_user(self, name: str, email: str = "", password: str | None = None) -> Person:
        person = self.model(email=email)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    objects = PersonManager()
