from tenancy.people.models import AbstractUser


class User(AbstractUser):
    """A person, who exists once and may be a member of many tenants."""
