"""When a member was last seen in a workspace, for the page about its people.

The session keeps when that was written last, so a page costs no query to find out.
"""

import time

from django.db import DatabaseError, transaction
from django.utils import timezone

from tenancy.models import LastSeen

KEY = "seen"  # in the session
EVERY = 60 * 60  # seconds


def note(request) -> None:
    """Write that the request's user is here, at most once an hour and session."""
    now = time.time()
    if now - request.session.get(KEY, 0) < EVERY:
        return
    row = LastSeen(tenant_id=request.tenant.pk, user_id=request.user.pk, at=timezone.now())
    conflict = {"update_fields": ["at"], "unique_fields": ["tenant", "user"]}
    try:
        with transaction.atomic():
            LastSeen.objects.bulk_create([row], update_conflicts=True, **conflict)
    except DatabaseError:  # such as one that takes no writes now, and answers pages all the same
        return
    request.session[KEY] = now
