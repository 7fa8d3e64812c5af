"""The public tenant: the schema that all share, the main website, and who administers it."""

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.concrete import Domain, Tenant


def create_public_tenant(domain: str, username: str, password: str, email: str = "") -> Tenant:
    """Make the public tenant, its domain, and its owner with all rights on the public site.

    The tables must exist (`migrate_schemas --shared`). Where the public tenant is there already,
    no user is touched, and only a domain that it hasn't got yet is added. Without `email` the
    owner's is `<username>@<domain>`. Returns the tenant; raises ValidationError for an impossible
    domain, user name, e-mail or an empty password, and then nothing is changed.
    """
    public = get_public_schema_name()
    with schema_context(public), transaction.atomic():
        tenant = Tenant.objects.filter(schema_name=public).first()
        if tenant is None:
            owner = create_owner(username, password, email or f"{username}@{domain}")
            tenant = Tenant.objects.create(
                schema_name=public,
                slug=public,
                name=settings.PROJECT_NAME,
                owner=owner,
                status=Tenant.Status.ACTIVE,
            )
            tenant.add_user(owner, is_superuser=True, is_staff=True)
        if not tenant.domains.filter(domain=domain).exists():
            new = Domain(tenant=tenant, domain=domain)
            new.full_clean()
            new.save()
    return tenant


def create_owner(username: str, password: str, email: str):
    if not password:
        raise ValidationError("The public tenant's owner needs a password (ADMIN_PASSWORD).")
    owner = get_user_model()(username=username, email=email)
    owner.set_password(password)
    owner.full_clean()
    owner.save()
    return owner
