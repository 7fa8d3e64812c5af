# template: if cookiecutter.use_celery
from server.celery import app as celery_app

# Loaded with Django, so that @shared_task finds the app.
__all__ = ["celery_app"]
# template: endif
