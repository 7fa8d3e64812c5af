from django.contrib.staticfiles.management.commands import runserver

from tenancy import hosts


class Command(runserver.Command):
    def on_bind(self, server_port):
        hosts.remember_port(server_port)
        super().on_bind(server_port)
