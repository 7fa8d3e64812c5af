"""A signal for each transition of a tenant. `tenancy.states` lists the transitions.

A signal is sent after the commit, in the public schema, with these arguments:

- `sender`: the tenant model;
- `tenant`: the tenant after the transition; after `purged` and `abandoned` its row is gone;
- `event`: the TenantEvent, with `by`, `before` and `after`.

An exception in a receiver is logged and doesn't undo the transition. Use django-tenants'
`schema_migrated` for steps that belong to making a tenant: it is sent in the transaction.
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

# Not of a transition. Sent with `pk` when somebody has asked for a DataJob. A receiver that passes
# it on returns True. If none does, a thread of the process does the job.
data_job_asked = Signal()
