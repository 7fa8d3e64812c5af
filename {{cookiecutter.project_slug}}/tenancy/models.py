"""Abstract models for the project to subclass, and the engine's own records.

An organization owns tenants, a tenant has one schema, and domains lead to it. Change them with the
functions of `tenancy.lifecycle`, `tenancy.people` and `tenancy.copies`, which log a TenantEvent.
"""

from contextvars import ContextVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin
from django_tenants.utils import get_public_schema_name
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import DeleteError, TenantBase

from tenancy import hosts, roles
from tenancy.exceptions import SchemaNotReady, WrongTenant
from tenancy.fields import HostField, constraint
from tenancy.isolation.credentials import delete_credentials


def refused(instead: str):
    """Return a method that raises DeleteError, to replace one of the libraries that destroys."""

    def refuse(self, *args, **kwargs):
        raise DeleteError(instead)

    return refuse


not_deleted = refused("Tenants are not deleted this way: call a function of `tenancy.lifecycle`.")


def seen_tenants(user, tenant):
    """Return the tenants of which a person may see shared rows at a tenant's host.

    That is the host's tenant, or at the main website all of which the person is a member.
    """
    rows = type(tenant)._default_manager.exclude(schema_name=get_public_schema_name())
    if not user.is_authenticated:
        return rows.none()
    if tenant.schema_name == get_public_schema_name():
        return rows.filter(user_set=user)
    return rows.filter(pk=tenant.pk)


class AbstractOrganization(models.Model):
    """A customer. Two may have one name."""

    name = models.CharField(_("name"), max_length=200)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self):
        return self.name

    def shows_files_to(self, user, tenant) -> bool:
        return seen_tenants(user, tenant).filter(organization=self).exists()


SIGN_UP = "sign-up"  # the origin of a tenant that its owner made on the main website


class Status(models.TextChoices):
    PROVISIONING = "provisioning", _("provisioning")
    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")
    DELETED = "deleted", _("deleted")
    PURGING = "purging", _("purging")


# In these states the schema is unfinished, or about to be dropped.
WITHOUT_SCHEMA = (Status.PROVISIONING, Status.PURGING)


class TenantQuerySet(models.QuerySet):
    delete = not_deleted

    def active(self):
        """The tenants whose hosts answer, including the main website."""
        return self.filter(status=Status.ACTIVE)

    def to_migrate(self):
        """The tenants that have a finished schema to keep, except the main website."""
        return self.exclude(schema_name=get_public_schema_name()).exclude(status__in=WITHOUT_SCHEMA)


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):
    """The tenants that code can enter, whether or not their hosts answer."""

    def get_queryset(self):
        return super().get_queryset().exclude(status__in=WITHOUT_SCHEMA)


IS_PUBLIC = Q(schema_name="public", slug="public")
COLOUR = r"\A#[0-9a-f]{6}\Z"


class AbstractTenant(TenantBase):
    """A workspace with its own schema. The tenant with the schema `public` is the main website."""

    Status = Status

    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(
        max_length=hosts.SLUG_LENGTH, unique=True, validators=[hosts.validate_slug]
    )
    organization = models.ForeignKey(
        settings.TENANT_ORGANIZATION_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="tenants",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="owned_tenants"
    )
    status = models.CharField(
        max_length=20, choices=Status, default=Status.PROVISIONING, editable=False
    )
    # Of a deleted tenant: its state before, and when it was deleted.
    status_before = models.CharField(max_length=20, choices=Status, blank=True, editable=False)
    deleted = models.DateTimeField(null=True, editable=False)
    # The last message from the background task that makes the tenant.
    progress = models.TextField(blank=True, editable=False)
    # The source of a copy, such as “clone of first”, or SIGN_UP. Empty for other tenants.
    origin = models.TextField(blank=True, editable=False)

    # What the workspace's owner and admins choose (`tenancy.workspace.settings`). The file is in
    # the tenant's own storage.
    logo_file = models.CharField(_("logo"), max_length=100, blank=True, editable=False)
    accent = models.CharField(
        _("colour"), max_length=7, blank=True, editable=False, validators=[RegexValidator(COLOUR)]
    )
    language = models.CharField(_("language"), max_length=20, blank=True, editable=False)
    time_zone = models.CharField(_("time zone"), max_length=50, blank=True, editable=False)

    # Of the host of a request (see routes.py): where to redirect to, if it is an earlier one, and
    # since when it answers over TLS.
    moved_to = secure_since = None

    # What `with tenant:` returns to. The library keeps it for all threads together.
    _entered = ContextVar("entered", default=())

    # Only provisioning makes a schema. Saving or deleting a row leaves schemas alone.
    auto_create_schema = False
    auto_drop_schema = False

    objects = TenantManager()
    all_objects = TenantQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["slug"]
        constraints = [
            constraint("organization", Q(schema_name="public") | Q(organization__isnull=False)),
            constraint("slug", IS_PUBLIC | Q(slug__regex=hosts.SLUG)),
            constraint("schema_name", IS_PUBLIC | Q(schema_name__regex=hosts.SCHEMA_NAME)),
        ]

    def __str__(self):
        return self.name

    def __enter__(self):
        before = connection.tenant, connection.include_public_schema
        self.activate()
        self._entered.set((*self._entered.get(), (self, before)))
        return self

    def __exit__(self, *error):
        *others, (entered, before) = self._entered.get()
        self._entered.set(tuple(others))
        connection.set_tenant_unchecked(*before)
        if entered is not self:
            raise WrongTenant(f"{self.slug} was left while the current tenant was {entered.slug}.")

    def shows_files_to(self, user, tenant) -> bool:
        return seen_tenants(user, tenant).filter(pk=self.pk).exists()

    def get_plan(self) -> str:
        """Return which limits of TENANCY_LIMITS hold: by default the value of a field `plan`."""
        return getattr(self, "plan", "")

    def limit(self, name: str) -> int | None:
        """Return how many the tenant may have of what `name` stands for; None for no limit."""
        if self.schema_name == get_public_schema_name():
            return None
        return getattr(settings, "TENANCY_LIMITS", {}).get(self.get_plan(), {}).get(name)

    def check_schema(self):
        """Raise SchemaNotReady while the tenant is being made or purged.

        The database backend calls this. Suspended and deleted tenants can be entered, because
        migrations and backups need it; requests never reach them.
        """
        if self.status in WITHOUT_SCHEMA:
            raise SchemaNotReady(f"{self.slug} can't be entered: it is {self.status}.")

    def save(self, *args, **kwargs):
        """Save the row. Unlike the library's `save`, make no schema and send no signal."""
        super(TenantMixin, self).save(*args, **kwargs)

    def add_user(self, user_obj, **rights):
        """Add a member for the library, with a role. Others call `members.add_member`, which logs.

        Raises ExistsError for a member, and ValueError for `is_staff` without `is_superuser`: only
        a role of the project's own gives that.
        """
        role = roles.ADMIN if rights.get("is_superuser") else roles.MEMBER
        is_public = self.schema_name == get_public_schema_name()
        if rights.get("is_staff") and not (is_public or roles.flags(role)["is_staff"]):
            raise ValueError("is_staff comes with a role: call members.add_member.")
        # The cache may say that the user is not a member.
        vars(user_obj).get(TENANT_CACHE_NAME, {}).pop(self.schema_name, None)
        with transaction.atomic(), self:
            super().add_user(user_obj, **rights)
            delete_credentials(user_obj)  # those of an earlier membership
            roles.assign_role(user_obj.usertenantpermissions, role)
        # The user would take this row, with the rights in this tenant, to other tenants.
        user_obj._state.fields_cache.pop("usertenantpermissions", None)

    # The library's drop the schema, free the domains, keep sessions, or remove the old owner.
    delete = delete_tenant = _drop_schema = not_deleted
    remove_user = refused("Call `tenancy.people.members.remove_member`, which ends sessions.")
    transfer_ownership = refused("Call `tenancy.lifecycle.transfer`: the old owner stays a member.")


class AbstractDomain(DomainMixin):
    """A host name that leads to a tenant."""

    domain = HostField(max_length=253, unique=True, validators=[hosts.validate_host])
    # A former primary host redirects. Other hosts answer as the primary one does.
    redirects = models.BooleanField(_("redirects to the primary domain"), default=False)
    # When the host first answered over TLS, for hosts that aren't below DOMAIN (see hsts.py).
    secure_since = models.DateTimeField(null=True, editable=False)

    _is_only_domain = False  # of a new tenant's: there is no other to be primary instead of

    class Meta:
        abstract = True
        ordering = ["domain"]
        constraints = [constraint("host", Q(domain__regex=hosts.HOST))]

    def save(self, *args, **kwargs):
        if self._is_only_domain:  # the library's `save` would ask the database for others
            return models.Model.save(self, *args, **kwargs)
        return super().save(*args, **kwargs)

    def shows_files_to(self, user, tenant) -> bool:
        return seen_tenants(user, tenant).filter(domains=self).exists()


class TenantEvent(models.Model):
    """A line of the log: a change of a tenant or a person. It outlives the tenant."""

    at = models.DateTimeField(_("time"), auto_now_add=True)
    by = models.CharField(_("by"), max_length=254)
    action = models.CharField(_("action"), max_length=40)
    # The person, if a membership or an account was changed. An account's event has no tenant.
    username = models.CharField(_("user"), max_length=254, blank=True, db_index=True)
    slug = models.CharField(max_length=hosts.SLUG_LENGTH, blank=True, db_index=True)
    schema_name = models.CharField(max_length=63, blank=True)
    before = models.TextField(_("from"))
    after = models.TextField(_("to"))

    class Meta:
        ordering = ["-pk"]
        indexes = [
            # For a workspace's history, which is read from the newest line on,
            models.Index(fields=["schema_name", "id"], name="tenancy_history"),
            # and for the former names of its schema.
            models.Index(
                fields=["after"], condition=Q(action="rename schema"), name="tenancy_renamed"
            ),
        ]

    def __str__(self):
        return " ".join(filter(None, [self.action, self.username, self.slug]))


class Member(UserTenantPermissions):
    """A person in the current tenant."""

    class Meta:
        proxy = True
        default_permissions = ()  # owners and admins may see and change members, nobody else
        ordering = ["profile__username"]
        verbose_name = _("member")
        verbose_name_plural = _("members")


class Blueprint(models.Model):
    """The only row says how `tenancy.schemas.blueprint` makes a new schema."""

    key = models.CharField(max_length=64, primary_key=True)
    template_name = models.CharField(max_length=63)
    statements = models.TextField()
    checksum = models.CharField(max_length=64)

    def __str__(self):
        return self.key


class SpareSchema(models.Model):
    """A schema that waits for its tenant (`tenancy.schemas.spares`)."""

    schema_name = models.CharField(max_length=63, unique=True)
    key = models.CharField(max_length=64)  # of the blueprint that made it

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.schema_name


class Limit(models.Model):
    """How often something was done since `expires` minus its time (see `tenancy.limits`)."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self):
        return self.key


class FailedSignIn(models.Model):
    """How often somebody tried to sign in as a person in vain (`tenancy.people.failed`)."""

    # The key of the person. The row without one counts names that nobody has.
    person = models.CharField(max_length=20, primary_key=True)
    count = models.PositiveIntegerField()
    at = models.DateTimeField()
    address = models.CharField(max_length=50)

    def __str__(self):
        return self.person


class HandOver(models.Model):
    """A sign-in that the main website handed over to a workspace, and the session it opened there.

    `tenancy.people.handover` writes it. The code and the state are stored as digests.
    """

    code = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    host = models.CharField(max_length=253)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)
    # When and how the person has confirmed that it is them.
    confirmed = models.DateTimeField(null=True)
    method = models.CharField(max_length=40, blank=True)
    # What lets in a person who isn't a member.
    grant = models.ForeignKey("SupportGrant", on_delete=models.CASCADE, null=True, related_name="+")
    # The keys of the session that handed over, and of the one that was opened.
    website_session = models.CharField(max_length=40, db_index=True)
    workspace_session = models.CharField(max_length=40, blank=True, db_index=True)

    def __str__(self):
        return f"{self.user_id} → {self.host}"


class InvitationQuerySet(models.QuerySet):
    def open(self):
        """Those that can be accepted now, if their senders may still send them."""
        return self.filter(accepted=None, revoked=None, expires__gt=Now())


class Invitation(models.Model):
    """An e-mail that invites an address to a workspace. `tenancy.people.invitations` writes it.

    The token in its link is stored as a digest.
    """

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    email = models.CharField(max_length=254)
    role = models.CharField(max_length=150)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    token = models.CharField(max_length=64, unique=True)
    sent = models.DateTimeField()
    expires = models.DateTimeField()
    accepted = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    revoked = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=Q(accepted=None, revoked=None),
                name="%(app_label)s_%(class)s_open",
            )
        ]

    def __str__(self):
        return f"{self.email} → {self.tenant_id}"


class ApiKey(models.Model):
    """A key by which a program uses a workspace. `tenancy.people.keys` writes it.

    The key itself is stored as a digest.
    """

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # The key of the person's row in the tenant: that of a later membership is another one.
    membership = models.IntegerField()
    name = models.CharField(max_length=50)
    role = models.CharField(max_length=150)
    digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)

    def __str__(self):
        return self.name


class DomainClaim(models.Model):
    """A host that a workspace wants, or has proved to be its own. `tenancy.domains` writes it.

    Any number of workspaces can claim a host. The first that shows its token in the DNS gets it.
    """

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    host = models.CharField(max_length=253)
    # The record that proves it: a TXT record of this value, at this label below the host.
    label = models.CharField(max_length=63)
    token = models.CharField(max_length=64)
    # To be made the primary domain as soon as it leads here.
    as_primary = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    # The last check, and what it found: a key of `tenancy.domains.claims.PROBLEMS`, or nothing.
    checked = models.DateTimeField(null=True)
    problem = models.CharField(max_length=20, blank=True)
    leads_here = models.BooleanField(null=True)
    verified = models.DateTimeField(null=True)
    # Since when the record of a verified domain is gone.
    lost = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "host"], name="%(app_label)s_%(class)s_once")
        ]

    def __str__(self):
        return f"{self.host} → {self.tenant_id}"


class LastSeen(models.Model):
    """When a member last opened a page of a workspace, to the hour (`tenancy.people.seen`)."""

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="%(app_label)s_%(class)s_once")
        ]

    def __str__(self):
        return f"{self.user_id} in {self.tenant_id}"


class Archive(models.Model):
    """A backup that the engine made and keeps. `tenancy.copies.kept` writes it.

    Nothing is restored for a customer unless it has the digest of its row. It outlives a purged
    tenant until `expires`.
    """

    tenant = models.ForeignKey(
        settings.TENANT_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    slug = models.CharField(max_length=hosts.SLUG_LENGTH)  # the tenant's, when it was made
    made = models.DateTimeField(auto_now_add=True)
    by = models.CharField(max_length=254)
    is_scheduled = models.BooleanField(default=False)  # a program made it, not a person
    file = models.CharField(max_length=255, unique=True)  # see schemas/private_files.py
    size = models.PositiveBigIntegerField(default=0)  # bytes
    digest = models.CharField(max_length=64, blank=True)  # SHA-256; empty until it is complete
    expires = models.DateTimeField(null=True)

    def __str__(self):
        return self.file


class DataJob(models.Model):
    """Work on a workspace's data that its owner has asked for. `tenancy.copies.jobs` does it."""

    class Kind(models.TextChoices):
        EXPORT = "export", _("export")
        BACKUP = "backup", _("backup")
        COPY = "copy", _("new workspace")

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    asked = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    failure = models.TextField(blank=True)  # a sentence for the owner
    # Of a new workspace: what it is made from (None: the present state), and its name and slug.
    archive = models.ForeignKey(Archive, on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.CharField(max_length=200, blank=True)
    slug = models.CharField(max_length=hosts.SLUG_LENGTH, blank=True)
    # Of an export: its file (see schemas/private_files.py), until it was downloaded or has expired.
    file = models.CharField(max_length=255, blank=True)
    size = models.PositiveBigIntegerField(default=0)  # bytes
    expires = models.DateTimeField(null=True)
    downloaded = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(ended=None), name="%(app_label)s_%(class)s_open"
            )
        ]

    def __str__(self):
        return f"{self.kind} of {self.tenant_id}"


class SupportGrant(models.Model):
    """A workspace's owner lets operators in, for a while. `tenancy.support` writes it."""

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, related_name="+")
    allowed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    may_write = models.BooleanField()
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    ended = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        permissions = [("support_tenant", "May enter workspaces as support")]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(ended=None), name="%(app_label)s_%(class)s_open"
            )
        ]

    def __str__(self):
        return f"{self.tenant_id} until {self.expires}"
