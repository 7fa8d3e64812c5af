from tenancy.copies.everything import names_in
from tenancy.copies.places import default_place, place_of, time_of
from tenancy.management.base import LifecycleCommand, text


class Command(LifecycleCommand):
    help = "List the archives that `backup_all` has written, the newest last."
    arguments = {
        "word": {"nargs": "?", "default": "", "help": "only those with this in their names"},
        "--from": text("an absolute path or s3://… instead of BACKUPS_URL", dest="place"),
    }

    def perform(self, *, word, place, by):
        names = names_in(place_of(place) if place else default_place())
        return "\n".join(name for name in sorted(names, key=time_of) if word in name)
