from allauth.account.auth_backends import AuthenticationBackend
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission
from django.db import connection, router
from django_tenants.utils import get_public_schema_name
from tenant_users.permissions import backend
from tenant_users.permissions.models import UserTenantPermissions as Rights

from tenancy import roles
from tenancy.concrete import User
from tenancy.database.prepared import PreparedQuery
from tenancy.isolation.membership import remember
from tenancy.people.guesses import PASSWORD, Guess, person_of

COLUMNS = [field.get_col(User._meta.db_table) for field in User._meta.concrete_fields]
NAMES = [column.target.attname for column in COLUMNS]
CONVERTERS = [  # of fields that the project added, such as a JSONField
    (index, convert, column)
    for index, column in enumerate(COLUMNS)
    for convert in column.get_db_converters(connection)
]
RIGHTS = [field.attname for field in Rights._meta.concrete_fields]

# In SQL, because Django takes longer to build this query than PostgreSQL to run it. Not `*`,
# because a newer release may have added columns while this process still runs the old code.
PERSON_COLUMNS = ", ".join(
    [
        *(f"person.{connection.ops.quote_name(each.target.column)}" for each in COLUMNS),
        *(f"rights.{name}" for name in RIGHTS),
        roles.GROUP_NAMES,
    ]
)
PERSON = f"""
{User._meta.db_table} person
LEFT JOIN {Rights._meta.db_table} rights ON rights.profile_id = person.id
"""
QUERY = PreparedQuery(
    "person",
    f"SELECT {PERSON_COLUMNS} FROM {PERSON} WHERE person.id = %s",  # noqa: S608
)


def person_from(row) -> User:
    """Return the person of a row of PERSON_COLUMNS, with their membership of the current tenant."""
    *values, groups = row
    for index, convert, column in CONVERTERS:
        values[index] = convert(values[index], column, connection)
    user = User.from_db(connection.alias, NAMES, values[: len(NAMES)])
    rights, values = None, values[len(NAMES) :]
    if values[RIGHTS.index("id")]:
        rights = Rights.from_db(router.db_for_read(Rights), RIGHTS, values)
        roles.restrict(rights, roles.last_role(groups))
    remember(user, connection.schema_name, rights)
    return user


class UserBackend(AuthenticationBackend, backend.UserBackend):
    """Loads a person, their rights and their role in the current tenant in one query.

    It is the only backend, however a person signs in: another one would load no rights.
    """

    def authenticate(self, request, *, is_sign_in=False, **credentials):
        """Return the person with this password, for the main website's sign-in page alone.

        Everywhere else, such as for a program with Basic authentication, a password is worth
        nothing: the page asks for more where more is needed, and is on no host that a customer
        controls. Raises RateLimited after too many wrong passwords.
        """
        name = credentials.get("email") or credentials.get("username")
        is_here = is_sign_in and connection.schema_name == get_public_schema_name()
        if not (is_here and name and credentials.get("password")):
            return None
        guess = Guess(request, PASSWORD, person_of(name))
        user = super().authenticate(request, **credentials)
        if user:
            guess.was_right()
        else:
            guess.was_wrong()
        return user

    async def aauthenticate(self, request, **credentials):
        # Django's checks the password itself.
        return await sync_to_async(self.authenticate)(request, **credentials)

    def get_user(self, user_id):
        """Return the person unless they were deactivated, also one who is no member.

        MembershipMiddleware tells the holder of such a session that they have no access.
        """
        row = QUERY.fetch_one(connection, user_id)
        if row is None:
            return None
        user = person_from(row)
        return user if user.is_active_anywhere else None

    async def aget_user(self, user_id):
        # With the membership, which an event loop couldn't load.
        return await sync_to_async(self.get_user)(user_id)

    def _get_user_permissions(self, rights):
        # Those that a member has beside the role are not a key's.
        found = super()._get_user_permissions(rights)
        return found.none() if is_of_key(rights) else found

    def _get_group_permissions(self, rights):
        # The tenant gives permissions to groups, the setting to roles.
        role = getattr(rights, "role", None)
        if is_of_key(rights):
            groups = Permission.objects.filter(group__name=role)
        else:
            groups = super()._get_group_permissions(rights)
        return (groups | Permission.objects.filter(roles.permissions_of(role))).distinct()


def is_of_key(rights: Rights) -> bool:
    """Return whether a member's row says what a key of theirs may (`tenancy.people.keys`)."""
    return getattr(rights, "is_of_key", False)
