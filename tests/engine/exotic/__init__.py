"""An app with one of everything that PostgreSQL keeps in a schema, for test_blueprint.py."""
