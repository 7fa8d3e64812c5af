from django.contrib import admin

from engine.orders.models import Order, PlanOfTenant, SharedRow

admin.site.register([PlanOfTenant, SharedRow])


class HelperInline(admin.TabularInline):
    model = Order.helpers.through


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_filter = (
        "buyer__username",
        ("buyer", admin.RelatedFieldListFilter),
        *("tenant", "customer", "host", "contract"),
    )
    search_fields = ("text",)
    raw_id_fields = ("plan",)
    inlines = (HelperInline,)
