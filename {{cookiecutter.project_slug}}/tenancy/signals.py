"""A signal for each transition of a tenant. `tenancy.states` says when each is sent.

A signal is sent after the commit, in the public schema, with these arguments:

- `sender`: the tenant model;
- `tenant`: the tenant as it is then; after `purged` and `abandoned` the row is gone;
- `event`: the TenantEvent, with `by`, `before` and `after`.

A receiver that raises is logged, and the transition stays done. Steps that must be part of making a
tenant are receivers of django-tenants' `schema_migrated`, which runs in its transaction.
"""

from django.dispatch import Signal

provisioned = Signal()
abandoned = Signal()
suspended = Signal()
resumed = Signal()
changed = Signal()
schema_renamed = Signal()
schema_recreated = Signal()
transferred = Signal()
deleted = Signal()
undeleted = Signal()
cloned = Signal()
backed_up = Signal()
restored = Signal()
purging = Signal()
purged = Signal()
