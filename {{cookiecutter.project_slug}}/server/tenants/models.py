"""Organizations (the customers), their tenants, and the hosts that lead to tenants.

Add fields here, then run `manage.py makemigrations`. `provision_tenant` accepts a new field of
Tenant as an argument, the admin shows it, and clones and backups keep it.
"""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.models import AbstractDomain, AbstractOrganization, AbstractTenant


class Organization(AbstractOrganization):
    pass


class Tenant(AbstractTenant):
    """With a plan, whose limits are in TENANCY_LIMITS (docs/billing.md)."""

    class Plan(models.TextChoices):
        FREE = "free", _("free")
        TEAM = "team", _("team")

    plan = models.CharField(_("plan"), max_length=20, choices=Plan, default=Plan.FREE)
    trial_ends = models.DateTimeField(_("end of the trial"), null=True, blank=True)

    def get_plan(self) -> str:
        """Until its trial ends, a workspace has the limits of a team."""
        is_trial = self.trial_ends and self.trial_ends > timezone.now()
        return self.Plan.TEAM if is_trial else self.plan


class Domain(AbstractDomain):
    pass
