# template: if cookiecutter.use_celery
from server.celery import app as celery_app

# Import the app with Django, so that @shared_task finds it.
__all__ = ["celery_app"]
# template: endif
