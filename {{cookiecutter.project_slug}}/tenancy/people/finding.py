from django.db import DataError

from tenancy.concrete import User
from tenancy.exceptions import UnknownUser


def find_user(username: str, *, active: bool = False, lock: bool = False) -> User:
    """Return the person with the user name or e-mail. Raises UnknownUser.

    With `active` a deactivated person is unknown. With `lock`, in a transaction, nobody can
    deactivate the person before its end.
    """
    people = User.objects.select_for_update(no_key=True) if lock else User.objects.all()
    try:
        pk = User.objects.get_by_natural_key(username).pk
        user = people.get(pk=pk)
    except (User.DoesNotExist, ValueError, DataError):  # the driver raises the last two for NUL
        user = None
    if user is None or (active and not user.is_active):
        raise UnknownUser(f"There is no {'active ' * active}user “{username}”.")
    return user
