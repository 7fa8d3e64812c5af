"""Write a tenant's data for people: each table as CSV, and the uploads, in one zip."""

import re
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from django.db import connection
from django.template.loader import render_to_string
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions

from tenancy.concrete import Tenant, User
from tenancy.copies.backups import add_files, copy_out, new_file
from tenancy.copies.consistent import quote_table, snapshot
from tenancy.copies.omissions import Omissions
from tenancy.copies.references import references
from tenancy.csv_files import FORMULA
from tenancy.isolation.router import table_of

# A partitioned table has its partitions' rows.
COLUMNS = """
    SELECT relname, relkind = 'r', attname, typcategory, typname
    FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid
    JOIN pg_type ON pg_type.oid = atttypid
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = to_regnamespace(%s)
        AND attnum > 0 AND NOT attisdropped
    ORDER BY relname, attnum
"""
PLAIN = "NBDT"  # numbers, booleans, times: no person chooses how these begin
SHAPES = ("geometry", "geography")
APOSTROPHE = r"''\1"  # before what FORMULA has found, as it is between quotes in SQL
BOM = b"\xef\xbb\xbf"  # without it, spreadsheets don't read UTF-8


class Column(NamedTuple):
    name: str
    category: str
    type: str


class Table(NamedTuple):
    name: str
    is_partitioned: bool
    columns: list[Column]


def export(tenant: Tenant, path: Path) -> None:
    """Write the file, which only its owner can read. It gets its name when it is complete.

    Each table is streamed from the database to the disk, all as they are at one moment. Others can
    write meanwhile. Raises IllegalTransition and CopyError.
    """
    with (
        schema_context(get_public_schema_name()),
        new_file(path, overwrite=False) as file,
        ZipFile(file, "w", ZIP_DEFLATED, strict_timestamps=False) as archive,
        snapshot("export", tenant),
    ):
        tables, left_out = readable_tables(tenant.schema_name)
        people = columns_of_people(tenant.schema_name)
        for table in tables:
            query = select(tenant.schema_name, table, people)
            name = re.sub(r"[^\w-]", "_", table.name)
            with archive.open(f"tables/{name}.csv", "w", force_zip64=True) as rows:
                rows.write(BOM)
                copy_out(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)", rows)
        add_files(archive, tenant.schema_name)
        context = {"tenant": tenant, "now": timezone.now(), "left_out": left_out}
        archive.writestr("README.txt", render_to_string("tenancy/export/readme.txt", context))


def readable_tables(schema_name: str) -> tuple[list[Table], list[str]]:
    """Return the tables, with the columns to export, and the names of what is left out."""
    omissions = Omissions()
    tables, left_out = [], []
    for table in all_tables(schema_name):
        if table.name in omissions.technical:
            continue
        if omissions.has(table.name):
            left_out.append(table.name)
            continue
        columns = [each for each in table.columns if not omissions.has(table.name, each.name)]
        left_out += [f"{table.name}.{each.name}" for each in table.columns if each not in columns]
        if columns:
            tables.append(table._replace(columns=columns))
    return tables, left_out


def all_tables(schema_name: str) -> list[Table]:
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [quote_schema_name(schema_name)])
        return [
            Table(name, not is_plain, [Column(*row[2:]) for row in rows])
            for (name, is_plain), rows in groupby(cursor.fetchall(), key=lambda row: row[:2])
        ]


def columns_of_people(schema_name: str) -> dict[tuple[str, str], str]:
    """Return, by table and column, to which column of the people's table the column refers."""
    found = references(schema_name).items()
    return {
        key: field.column for field, keys in found if field and field.model is User for key in keys
    }


def select(schema_name: str, table: Table, people: dict[tuple[str, str], str]) -> str:
    """Return a query of the table's rows, in which no text is a formula.

    A column that refers to a person is followed by the name, and by the e-mail of a member. Others
    may have another address by now, which is no business of this tenant.
    """
    only = "" if table.is_partitioned else "ONLY "
    values, joins = [], [f"{only}{quote_table(schema_name, table.name)} AS t"]
    for number, column in enumerate(table.columns):
        name = quote_schema_name(column.name)
        values.append(f"{value_of(column)} AS {name}")
        if key := people.get((table.name, column.name)):
            person, member = f"person{number}", f"member{number}"
            joins.append(f"{public_table(User)} {person} ON {person}.{key} = t.{name}")
            joins.append(
                f"{quote_table(schema_name, table_of(UserTenantPermissions))} {member}"
                f" ON {member}.profile_id = {person}.{User._meta.pk.column}"
            )
            text = f"coalesce(nullif({person}.name, ''), {person}.username)"
            email = f"CASE WHEN {member}.profile_id IS NOT NULL THEN {person}.email END"
            label = column.name.removesuffix("_id")
            for what, value in (("name", text), ("email", email)):
                values.append(f"{harmless(value)} AS {quote_schema_name(f'{label}_{what}')}")
    return f"SELECT {', '.join(values)} FROM {' LEFT JOIN '.join(joins)}"  # noqa: S608


def value_of(column: Column) -> str:
    name = f"t.{quote_schema_name(column.name)}"
    if column.type in SHAPES:
        return f"ST_AsText({name})"
    return name if column.category in PLAIN else harmless(f"{name}::text")


def harmless(text: str) -> str:
    """Return an expression for the text, with an apostrophe before what would be a formula."""
    return f"regexp_replace({text}, '{FORMULA}', '{APOSTROPHE}')"


def public_table(model) -> str:
    return quote_table(get_public_schema_name(), table_of(model))
