"""The admin sites: a tenant's shows what is the tenant's, the main website's what is shared.

SHARED_APPS and TENANT_APPS decide. It doesn't matter on which site a model was registered, nor by
whom. The addresses of models that a site doesn't show exist there, so that every template can link
to them, and answer 404.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.sites import all_sites
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.contrib.contenttypes.models import ContentType
from django.contrib.contenttypes.views import shortcut
from django.core.checks import CheckMessage
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q
from django.http import Http404, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django_tenants.utils import app_labels

from tenancy import hosts
from tenancy.isolation.model_admin import HostAdmin, combine
from tenancy.isolation.router import is_in_apps
from tenancy.isolation.shared_files import owner_fields


class NoForms:
    """An admin without pages of its own to sign in and to change a password.

    They would be a second door, beside the main website's pages, which count attempts and ask for
    more than a password where more is needed.
    """

    def has_permission(self, request):
        allowed = super().has_permission(request)
        if not allowed and request.user.is_authenticated:
            raise PermissionDenied  # to be sent to a sign-in would be no help
        return allowed

    @method_decorator(login_not_required)
    def login(self, request, extra_context=None):
        goal = request.GET.get("next") or reverse("admin:index", current_app=self.name)
        return redirect_to_login(goal)

    def password_change(self, request, extra_context=None):
        return HttpResponseRedirect(hosts.main_website_url("/account/password/change/"))


class HostSite(NoForms, admin.AdminSite):
    """An admin site for one kind of host."""

    apps_setting: str
    shown: dict | None = None  # None until the URLs are read

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.elsewhere: dict[type[Model], admin.ModelAdmin] = {}

    @property
    def _registry(self) -> dict:
        """What is shown; before that is known, what is registered here, by whomever."""
        return self.registered if self.shown is None else self.shown

    @_registry.setter
    def _registry(self, registry: dict):
        # Django's autodiscover does this after each app without an admin module.
        if self.shown is None:
            self.registered = registry
        else:
            self.shown = registry

    def register(self, model_or_iterable, admin_class=None, **options):
        with self.all_registered():
            admin_class = combine(HostAdmin, admin_class or admin.ModelAdmin)
            super().register(model_or_iterable, admin_class, **options)

    def unregister(self, model_or_iterable):
        with self.all_registered():
            super().unregister(model_or_iterable)

    @contextmanager
    def all_registered(self) -> Iterator[None]:
        """In the block `_registry` has what was registered here, also what isn't shown."""
        shown, self._registry = self._registry, self.registered
        try:
            yield
        finally:
            self._registry = shown

    def collect(self) -> None:
        """Show what belongs here of all that was registered, here or on sites of the other kind.

        This happens when the URLs are read, as Django ignores what is registered later.
        """
        others = (site for site in all_sites if isinstance(site, HostSite))
        others = sorted((site for site in others if type(site) is not type(self)), key=id)
        found = {}
        for site in (self, *others):
            for model, model_admin in site.registered.items():
                if model not in found:
                    own = model_admin.admin_site is self
                    found[model] = model_admin if own else type(model_admin)(model, self)
        self.shown = {model: found[model] for model in found if self.shows(found[model])}
        self.elsewhere = {model: found[model] for model in found.keys() - self._registry.keys()}

    def has(self, model: type[Model]) -> bool:
        """Return whether the model's tables are in the schema of this site's hosts."""
        return is_in_apps(model, frozenset(app_labels(getattr(settings, self.apps_setting))))

    def shows(self, model_admin: admin.ModelAdmin) -> bool:
        only_at = getattr(model_admin, "only_at", HostSite)
        return isinstance(self, only_at) and self.has(model_admin.model)

    def own_rows(self, request, model: type[Model]):
        """Return the rows of a shared model that forms may offer, or None for all of them."""
        return

    def check(self, app_configs) -> list[CheckMessage]:
        self.collect()
        messages = super().check(app_configs)
        for message in messages:
            if message.id == "admin.E039":
                message.hint = (
                    f"The model's admin must be at the same host ({type(self).__name__}). Leave the"
                    " field out of autocomplete_fields, and it is a select."
                )
        return messages

    def get_urls(self):
        self.collect()
        shown = self._registry
        self._registry = shown | {
            model: Elsewhere(self, it) for model, it in self.elsewhere.items()
        }
        try:
            urls = super().get_urls()
        finally:
            self._registry = shown
        view = self.admin_view(self.view_on_site)
        return [path("r/<path:content_type_id>/<path:object_id>/", view, name="r"), *urls]

    def view_on_site(self, request, content_type_id, object_id):
        """Redirect to an object's page, if its model is at this host."""
        try:
            model = ContentType.objects.get_for_id(int(content_type_id)).model_class()
        except (ContentType.DoesNotExist, ValueError):
            model = None
        if model is None or not self.has(model):
            raise Http404
        return shortcut(request, content_type_id, object_id)


class TenantSite(HostSite):
    """Django's `admin.site`, which is at the tenants' hosts."""

    apps_setting = "TENANT_APPS"

    def own_rows(self, request, model):
        """Of the people its members, of the tenants itself, of the organizations its own; of other
        shared models the rows that refer to none but these.
        """
        rows = self.own_owners(request, model)
        if rows is not None or self.has(model):
            return rows
        owners = {
            field.name: own
            for field in owner_fields(model)
            if (own := self.own_owners(request, field.related_model)) is not None
        }
        if not owners:
            return None
        conditions = (Q(**{f"{name}__in": own}) | Q(**{name: None}) for name, own in owners.items())
        return model._default_manager.filter(*conditions)

    def own_owners(self, request, model):
        """Return the tenant's rows of a model to whose rows others belong; None for others."""
        tenant = request.tenant
        if model is tenant.user_set.model:
            return tenant.user_set.all()
        if model is type(tenant):
            return model._base_manager.filter(pk=tenant.pk)
        if model is tenant._meta.get_field("organization").related_model:
            return model._base_manager.filter(pk=tenant.organization_id)
        return tenant.domains.all() if model is tenant.domains.model else None


class PublicSite(HostSite):
    """The main website's admin."""

    apps_setting = "SHARED_APPS"


class Elsewhere:
    """Stands for the admin of a model that a site doesn't show: its addresses answer 404."""

    def __init__(self, site: HostSite, model_admin: admin.ModelAdmin):
        self.view, self.model_admin = site.admin_view(not_here), model_admin

    @property
    def urls(self) -> list[URLPattern | URLResolver]:
        return [*self.without_views(self.model_admin.urls)]

    def without_views(self, patterns) -> Iterator[URLPattern | URLResolver]:
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                yield URLPattern(pattern.pattern, self.view, pattern.default_args, pattern.name)
            else:
                inner = [*self.without_views(pattern.url_patterns)]
                names = pattern.app_name, pattern.namespace
                yield URLResolver(pattern.pattern, inner, pattern.default_kwargs, *names)


def not_here(request, *args, **kwargs):
    raise Http404
