from django.contrib import admin
from django.http import HttpResponse
from django.urls import path

from engine.market.models import Discount, Plan

admin.site.register(Discount)


def prices(request):
    return HttpResponse("9")


@admin.register(Plan)
class PlanAdmin(admin.ModelAdmin):
    ordering = ("pk",)
    search_fields = ("name",)

    def get_urls(self):
        return [
            path("prices/", lambda request: HttpResponse("9"), name="prices"),
            *super().get_urls(),
        ]
