from django.apps import AppConfig


class BooksConfig(AppConfig):
    name = "example_project.books"
    label = "books"
    verbose_name = "Bookkeeping"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from example_project.books import receivers  # noqa: F401 - connects itself
