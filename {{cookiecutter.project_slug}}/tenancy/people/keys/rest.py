"""Keys for Django REST framework: name `KeyAuthentication` in `authentication_classes`."""

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

from tenancy.people.keys import find_person, key_in


class KeyAuthentication(BaseAuthentication):
    """Sets `request.user` to the key's maker with the key's rights, and `request.auth` to the key.

    Other tokens of the kind Bearer are left to the classes that follow.
    """

    def authenticate(self, request):
        if key_in(request) is None:
            return None
        user = find_person(request)
        if user is None:
            raise AuthenticationFailed(_("This key isn't good here."))
        return user, user.api_key

    def authenticate_header(self, request):
        return "Bearer"
