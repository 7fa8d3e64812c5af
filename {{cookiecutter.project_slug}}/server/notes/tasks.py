from datetime import timedelta

from celery import shared_task
from django.contrib.auth import get_user_model
from django.utils import timezone

from server.notes.models import Note
from tenancy.emails import send_email


@shared_task(acks_late=False)  # if the worker is killed, rather no e-mail than two
def send_digest():
    """E-mail the number of new notes to the tenant's staff, to each in their language."""
    count = Note.objects.filter(created__gte=timezone.now() - timedelta(days=1)).count()
    staff = get_user_model().objects.filter(is_active=True, usertenantpermissions__is_staff=True)
    if count:
        for email in staff.values_list("email", flat=True):
            send_email("digest", email, {"count": count})
