"""The adviser's two pages. Who is logged in is seen to by LoginRequiredMiddleware."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from example_project.books.models import Client, Note

NOTES_SHOWN = 5


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """All clients with the state of their banks, and what has happened lately."""
    clients = Client.objects.filter(owner=request.user.pk).select_related("bank")
    notes = Note.objects.filter(client__owner=request.user.pk).select_related("client")
    context = {"clients": clients, "notes": notes[:NOTES_SHOWN]}
    return render(request, "books/dashboard.html", context)


@require_safe
def client(request: HttpRequest, pk: int) -> HttpResponse:
    """One client."""
    found = get_object_or_404(Client.objects.select_related("bank"), pk=pk, owner=request.user.pk)
    context = {"client": found, "notes": found.notes.all()[:NOTES_SHOWN]}
    return render(request, "books/client.html", context)
