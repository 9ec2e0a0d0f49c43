"""Examining a schema, on one snapshot: every row can be read into its model, and has its parts."""

from collections import Counter

import psycopg

from treadle.backends.findings import Finding, Report
from treadle.backends.postgres._statements import Queries
from treadle.backends.postgres.connection import begin, connect, unavailable
from treadle.backends.postgres.location import Location
from treadle.backends.postgres.schema import check_schema
from treadle.backends.sql.row_checks import RECORDS, ROW_CHECKS, examine_rows
from treadle.backends.sql.rules import findings_of, rules_of


def examine(location: Location) -> Report:
    """Examine every row of a store, beside those who use it; nothing is changed.

    Raises:
        SchemaTooOld, SchemaTooNew, CorruptRecord, InvalidValue: this Treadle cannot work with it.
        StoreUnavailable: the server cannot be reached.
    """
    queries = Queries(location)
    counts: Counter[str] = Counter({each.table: 0 for each in ROW_CHECKS})
    findings: list[Finding] = []
    try:
        with connect(location) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with begin(connection):
                check_schema(connection, location)
                for row_check in ROW_CHECKS:
                    # A cursor of the server: the rows of a large table do not fit into memory.
                    with connection.cursor(name="treadle_doctor") as cursor:
                        cursor.execute(queries.of(row_check.query).text.encode())
                        columns = tuple(each.name for each in cursor.description or ())
                        findings += examine_rows(row_check, columns, cursor, counts)
                for rule in rules_of("postgres"):
                    found = connection.execute(location.qualify(rule.query).encode())
                    columns = tuple(each.name for each in found.description or ())
                    findings += findings_of(rule, columns, found)
    except psycopg.Error as error:
        raise unavailable(error, location) from error
    records = sum(counts[name] for name in RECORDS)
    return Report(records=records, rows=dict(counts), findings=tuple(findings))
