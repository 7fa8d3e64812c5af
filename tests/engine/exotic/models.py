"""Migrations make the tables; nothing here uses them."""
