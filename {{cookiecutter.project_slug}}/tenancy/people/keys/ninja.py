"""Keys for django-ninja: `NinjaAPI(auth=KeyBearer())`."""

from ninja.security import HttpBearer

from tenancy.concrete import User
from tenancy.people.keys import find_person


class KeyBearer(HttpBearer):
    """Sets `request.auth` and `request.user` to the key's maker, with the key's rights."""

    def authenticate(self, request, token) -> User | None:
        user = find_person(request)
        if user:
            request.user = user
        return user
