import re
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenancy import env_file

NAME = ".env.production"


class Command(BaseCommand):
    help = f"Make {NAME} from {NAME}.example, with new secrets. It is never overwritten."

    def handle(self, **options):
        root = Path(settings.BASE_DIR)
        example, target = root / f"{NAME}.example", root / NAME
        try:
            text = example.read_text(encoding="utf-8")
            for name in ("PROJECT_NAME", "ADMIN_USERNAME", "ADMIN_EMAIL"):
                value = quoted(getattr(settings, name))
                text = re.sub(
                    rf"^{name}=$", lambda _, n=name, v=value: f"{n}={v}", text, flags=re.M
                )
            env_file.fill(text, target)
        except FileExistsError:
            raise CommandError(f"{NAME} exists already.") from None
        except OSError as error:
            raise CommandError(f"{NAME} can't be made: {error}.") from None
        self.stdout.write(f"Made {NAME}. Fill in what is empty; keep it out of git.")


def quoted(value: str) -> str:
    """Return the value as Docker's env files have it: in double quotes, if it isn't plain."""
    if re.fullmatch(r"[\w.@+-]*", value, re.ASCII):
        return value
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'
