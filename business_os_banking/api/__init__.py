"""The REST API: like the pages, it asks the adapter who may do what, calls flows, and adds nothing."""
