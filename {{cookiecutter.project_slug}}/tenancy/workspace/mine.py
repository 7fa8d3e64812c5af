"""A person's workspaces: on a page, and in an e-mail for those who know only the main address."""

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django import forms
from django.contrib.auth.decorators import login_not_required, login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from tenancy.emails import send_email
from tenancy.people.account.pages import workspaces_for, workspaces_of


@never_cache
@login_required
@require_safe
def workspaces(request):
    context = {"workspaces": workspaces_of(request)}
    return render(request, "tenancy/workspaces/workspaces.html", context)


class FindForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"), widget=forms.EmailInput({"autocomplete": "email"})
    )

    def clean_email(self):
        return get_adapter().clean_email(self.cleaned_data["email"])


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def find(request):
    """Send a person the links to their workspaces.

    The answer is the same for each address, and each gets an e-mail: neither the page nor the time
    it takes tells who has an account.
    """
    form = FindForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        get_adapter(request).count_mail(email)
        confirmed = EmailAddress.objects.filter(email=email, verified=True, user__is_active=True)
        person = confirmed.select_related("user").first()
        found = [each for each in workspaces_for(person.user) if each["is_ready"]] if person else []
        send_email("workspaces", email, {"workspaces": found})
        return redirect(f"{reverse('workspaces-find')}?sent")
    context = {"form": form, "is_sent": "sent" in request.GET}
    return render(request, "tenancy/workspaces/find.html", context)
