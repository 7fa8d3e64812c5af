# What the owner adds: each signal is noted, and a new schema gets a group.

from dataclasses import dataclass, field

from django.contrib.auth.models import Group
from django.dispatch import Signal
from django_tenants.signals import schema_migrated
from django_tenants.utils import schema_context
from tenancy import signals


@dataclass
class Heard:
    events: list = field(default_factory=list)
    after_it: list = field(default_factory=list)
    born: list = field(default_factory=list)
    ready: list = field(default_factory=list)
    fails: set = field(default_factory=set)


heard = Heard()
NAMES = {
    signal: name
    for name, signal in vars(signals).items()
    if isinstance(signal, Signal) and signal is not signals.data_job_asked  # of no transition
}


def note(signal, tenant, event, **kwargs):
    is_committed = not connection.in_atomic_block and event.pk is not None
    heard.events.append((NAMES[signal], tenant.slug, event.action, is_committed))
    if "transition" in heard.fails:
        raise RuntimeError("A receiver fails.")


def note_after_it(event, **kwargs):
    heard.after_it.append(event.action)


for signal in NAMES:
    signal.connect(note)
    signal.connect(note_after_it)


@receiver(schema_migrated)
def make_group(schema_name, **kwargs):
    """A step of provisioning. The signal also comes when existing schemas are migrated."""
    tenant = Tenant.all_objects.filter(schema_name=schema_name).first()
    if tenant is None or tenant.status != Tenant.Status.PROVISIONING:
        return
    heard.born.append((tenant.slug, connection.in_atomic_block))
    with schema_context(schema_name):
        Group.objects.get_or_create(name="starters")  # a clone has it
    if "birth" in heard.fails:
        raise RuntimeError("A step fails.")


@receiver(post_schema_sync)
def note_ready(tenant, **kwargs):
    heard.ready.append((tenant.slug, tenant.status, connection.in_atomic_block))
    if "ready" in heard.fails:
        raise RuntimeError("A step after the birth fails.")
