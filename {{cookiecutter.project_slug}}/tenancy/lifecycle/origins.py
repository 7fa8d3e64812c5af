"""How tenants came, for operators: by a sign-up, by an operator, as a copy."""

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from tenancy.concrete import Tenant
from tenancy.models import TenantEvent

MAKING = ("provision", "clone", "restore")


def with_maker(tenants: QuerySet) -> QuerySet:
    """Annotate each tenant with `maker`, who made it as the log says, or None."""
    events = TenantEvent.objects.filter(schema_name=OuterRef("schema_name"), action__in=MAKING)
    return tenants.annotate(maker=Subquery(events.order_by("pk").values("by")[:1]))


def origin_of(tenant: Tenant) -> str:
    """Return a text such as “sign-up by ada” of a tenant that `with_maker` has annotated."""
    what = tenant.origin or _("provisioned")
    if tenant.maker is None:
        return what
    return _("%(what)s by %(name)s") % {"what": what, "name": tenant.maker}
