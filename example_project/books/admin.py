from django.contrib import admin

from example_project.books.models import Client, Note


@admin.register(Client)
class ClientAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["number", "name", "trade", "owner", "bank"]
    list_select_related = ["owner", "bank"]
    search_fields = ["number", "name"]
    raw_id_fields = ["owner", "bank"]


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["created_at", "client", "text"]
    list_select_related = ["client"]
    raw_id_fields = ["client"]
