pytest_plugins = ["tenancy.testing"]  # fixtures for tests in any folder
