"""Domains of customers: a workspace claims a host, proves by a DNS record that it is its own, and
keeps it as long as the record is there."""
