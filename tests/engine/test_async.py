"""In an event loop the current tenant is that of the request, under WSGI and under ASGI."""

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.http import JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django_tenants.utils import tenant_context
from server.notes.models import Note
from tenancy.exceptions import WrongTenant
from tenancy.isolation import signing


def in_force():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return cursor.fetchone()[0]


def in_force_elsewhere():
    """Ask over this thread's own connection."""
    try:
        return in_force()
    finally:
        connections.close_all()


async def where(request):
    """Answer with all that depends on the current tenant."""
    names = {
        "connection": connection.schema_name,
        "tenant": connection.tenant.schema_name,
        "thread": await sync_to_async(in_force)(),
        "other thread": await sync_to_async(in_force_elsewhere, thread_sensitive=False)(),
        "asyncio's thread": await asyncio.to_thread(in_force_elsewhere),
        "task": await asyncio.create_task(sync_to_async(in_force)()),
        "upload": default_storage.path("file").split("/")[-2],
        "cache": cache.make_key("key").split(":")[0],
        "signature": signing.loads(signing.dumps(connection.schema_name)),
    }
    return JsonResponse(names)


async def use(request):
    """Use objects of the tenant in the ways that Django has for an event loop."""
    note = await Note.objects.acreate(text="one", author_id=request.tenant.owner_id)
    note.text = "two"
    await note.asave()
    await note.arefresh_from_db()
    assert await Note.objects.aget(pk=note.pk) == note
    assert [each.text async for each in Note.objects.all()] == ["two"]
    assert [each.text async for each in Note.objects.aiterator()] == ["two"]
    await note.adelete()
    group = await Group.objects.acreate(name="Editors")
    assert await group.permissions.acount() == 0
    permission = await group.permissions.model.objects.afirst()
    assert Group.permissions.through(group=group, permission=permission).group_id == group.pk
    await group.permissions.aadd(permission)
    return JsonResponse({"rows": await group.permissions.acount()})


urlpatterns = [path("where/", where), path("use/", use)]


@pytest.fixture(autouse=True)
def urls(settings, tenant):
    settings.ROOT_URLCONF = __name__


def get_by_wsgi(address, tenant):
    return Client(SERVER_NAME=tenant.get_primary_domain().domain).get(address)


def get_by_asgi(address, tenant):
    return async_to_sync(aget)(address, tenant.get_primary_domain().domain)


class HostClient(AsyncClient):
    """Django's client for ASGI, at another host than its own."""

    def __init__(self, host):
        super().__init__()
        self.host = host.encode()

    async def request(self, headers, **scope):
        others = [header for header in headers if header[0] != b"host"]
        return await super().request(headers=[(b"host", self.host), *others], **scope)


async def aget(address, host):
    return await HostClient(host).get(address)


HANDLERS = [get_by_wsgi, get_by_asgi]


@pytest.mark.parametrize("get", HANDLERS)
def test_all_that_a_view_does_is_in_the_tenant_of_its_request(tenant, other_tenant, get):
    """I6: the event loop of a view was in public."""
    for each in (tenant, other_tenant):
        assert {*get("/where/", each).json().values()} == {each.schema_name}
    assert connection.schema_name == "public"


@pytest.mark.parametrize("get", HANDLERS)
def test_objects_of_the_tenant_work_in_an_async_view(tenant, get):
    """I6: they raised WrongTenant."""
    assert get("/use/", tenant).json() == {"rows": 1}


def test_tasks_take_turns_in_their_tenants(tenant, other_tenant):
    """I6: sync_to_async runs the queries of both in one thread, over one connection."""

    async def both():
        barrier = asyncio.Barrier(2)

        async def work(mine, its):
            seen = []
            await sync_to_async(connection.set_tenant)(mine)
            for context in (its, tenant_context(its), mine):
                await barrier.wait()
                seen.append(await sync_to_async(in_force)())
                with context:
                    await barrier.wait()
                    seen.append(await sync_to_async(in_force)())
            return seen

        async with asyncio.timeout(10):
            return await asyncio.gather(work(tenant, other_tenant), work(other_tenant, tenant))

    one, two = tenant.schema_name, other_tenant.schema_name
    assert async_to_sync(both)() == [[one, two, one, two, one, one], [two, one, two, one, two, two]]


WRONG = [
    lambda group: group.asave(),
    lambda group: group.adelete(),
    lambda group: group.arefresh_from_db(),
    lambda group: group.permissions.acount(),
    lambda group: group.permissions.aclear(),
    lambda group: sync_to_async(group.save, thread_sensitive=False)(),
]


@pytest.mark.parametrize("use", WRONG)
def test_an_object_of_another_tenant_is_refused(tenant, other_tenant, use):
    """I6"""
    with tenant:
        group = Group.objects.create(name="Editors")

    async def view():
        await use(group)

    with other_tenant, pytest.raises(WrongTenant):
        async_to_sync(view)()
    with tenant:
        group.refresh_from_db()


def test_an_object_of_another_tenant_is_not_related(tenant, other_tenant):
    """I6"""
    with tenant:
        group = Group.objects.create(name="Editors")

    async def view():
        permission = await group.permissions.model.objects.afirst()
        with pytest.raises(WrongTenant):
            Group.permissions.through(group=group, permission=permission)

    with other_tenant:
        async_to_sync(view)()


def test_a_tenant_that_is_entered_in_a_task_is_current_there_only(tenant, other_tenant):
    """I6"""

    async def child():
        connection.set_tenant(other_tenant)
        return await sync_to_async(in_force)()

    async def view():
        seen = await asyncio.create_task(child())
        return seen, connection.schema_name

    with tenant:
        assert async_to_sync(view)() == (other_tenant.schema_name, tenant.schema_name)
