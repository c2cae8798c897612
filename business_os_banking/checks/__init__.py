"""What ``manage.py check`` says: mistakes in the settings and on the site, before anybody meets them."""
