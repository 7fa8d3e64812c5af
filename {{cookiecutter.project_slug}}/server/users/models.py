from tenancy.people.models import AbstractUser


class User(AbstractUser):
    """A person, who can be a member of many tenants. Add fields here."""
