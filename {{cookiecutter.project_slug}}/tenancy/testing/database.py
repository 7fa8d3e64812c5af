from tenancy.concrete import Tenant, User
from tenancy.lifecycle import create_public_tenant, provision_tenant
from tenancy.schemas import blueprint


def populate() -> None:
    """Make the tests' tenants `public`, `first` and `other`, if they are missing."""
    create_public_tenant("localhost", "admin", "password")
    if not User.objects.filter(username="other").exists():
        User.objects.create_user("other@localhost", "password", username="other")
    blueprint.refresh()
    for slug, owner in (("first", "admin"), ("other", "other")):
        if not Tenant.objects.filter(slug=slug).exists():
            title = slug.title()
            provision_tenant(f"{title} Tenant", slug, f"{title} Organization", owner)
