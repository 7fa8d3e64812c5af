"""How tenants came, for operators, and whether they are used."""

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from tenancy.concrete import Tenant, User
from tenancy.models import LastSeen, TenantEvent

MAKING = ("provision", "clone", "restore")


def with_maker(tenants: QuerySet) -> QuerySet:
    """Annotate each tenant with `maker`, who made it as the log says, or None."""
    events = TenantEvent.objects.filter(schema_name=OuterRef("schema_name"), action__in=MAKING)
    return tenants.annotate(maker=Subquery(events.order_by("pk").values("by")[:1]))


def with_use(tenants: QuerySet) -> QuerySet:
    """Annotate each tenant with `member_count`, and `last_use`: when a member was last seen."""
    people = User.objects.filter(tenants=OuterRef("pk")).order_by().values("tenants")
    seen = LastSeen.objects.filter(tenant=OuterRef("pk")).order_by("-at")
    return tenants.annotate(
        member_count=Subquery(people.annotate(number=Count("pk")).values("number")),
        last_use=Subquery(seen.values("at")[:1]),
    )


def origin_of(tenant: Tenant) -> str:
    """Return a text such as “sign-up by ada” of a tenant that `with_maker` has annotated."""
    what = tenant.origin or _("provisioned")
    if tenant.maker is None:
        return what
    return _("%(what)s by %(name)s") % {"what": what, "name": tenant.maker}
