"""Words that are hard to quote."""

HOSTILE = [
    *("", ";", "'", "''", '"', "\\", "\\'", "E'\\'';", "--", "/* ;", "(", ")", "%s %(a)s %% %"),
    *("$$", "$_$;", "$1", "a\n\\restrict x\n\\.\n;", "\r\n\r;\n", "\t\x01", "é\U0001f600", "{}"),
    *("BEGIN ATOMIC", "END;", "CASE", "SET search_path = x;", "\nCREATE SCHEMA x;\n-- Name: x\n"),
    "ALTER TABLE x\n    ADD CONSTRAINT y FOREIGN KEY (z) REFERENCES public.z;",
]
