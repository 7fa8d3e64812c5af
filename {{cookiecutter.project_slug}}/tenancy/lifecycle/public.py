"""The public tenant: the shared schema, the main website, and its administrator."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.concrete import Domain, Tenant, User


def create_public_tenant(domain: str, username: str, password: str, email: str = "") -> Tenant:
    """Make the public tenant, its domain, and its owner, who gets all rights on the main website.

    The tables must exist (`migrate_schemas --shared`). If the public tenant exists, change no user:
    take over PROJECT_NAME, if there is one, and add the domain if it is new. The owner's e-mail is
    `<username>@<domain>` by default.
    Returns the tenant. Raises ValidationError for an invalid domain, user name or e-mail, or an
    empty password, and then changes nothing.
    """
    public = get_public_schema_name()
    with schema_context(public), transaction.atomic():
        tenant = Tenant.objects.filter(schema_name=public).first()
        if tenant is None:
            if not password:
                raise ValidationError("The main website's owner needs a password (ADMIN_PASSWORD).")
            email = email or f"{username}@{domain}"
            owner = User(username=username, email=email, is_verified=True)
            owner.set_password(password)
            owner.full_clean()
            owner.save()
            tenant = Tenant.objects.create(
                schema_name=public,
                slug=public,
                name=settings.PROJECT_NAME,
                owner=owner,
                status=Tenant.Status.ACTIVE,
            )
            tenant.add_user(owner, is_superuser=True, is_staff=True)
        elif tenant.name != settings.PROJECT_NAME and (
            # Without a name in `.env` it is the domain, which replaces no other name.
            domain != settings.PROJECT_NAME or tenant.domains.filter(domain=tenant.name).exists()
        ):
            tenant.name = settings.PROJECT_NAME
            tenant.save(update_fields=["name", "modified"])
        if not tenant.domains.filter(domain=domain).exists():
            new = Domain(tenant=tenant, domain=domain)
            new.full_clean()
            new.save()
    return tenant
