"""Load the engine's fixtures for tests in any folder: `tenant`, `tenant_client` and others."""

pytest_plugins = ["tenancy.testing"]
