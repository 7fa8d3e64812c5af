from django.template import Library

register = Library()


@register.filter
def without_placeholder(field):
    """Render a form's field. django-allauth's placeholders only repeat the label."""
    return field.as_widget(attrs={"placeholder": False})
