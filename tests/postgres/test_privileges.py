"""A store in PostgreSQL belongs to the role that created it: nothing is granted to the others."""

import psycopg

OTHERS = """
SELECT object, privilege_type FROM (
    SELECT 'schema', COALESCE(nspacl, acldefault('n', nspowner)), nspowner
    FROM pg_namespace WHERE nspname = %(schema)s
    UNION ALL
    SELECT relname, COALESCE(relacl, acldefault('r', relowner)), relowner
    FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'v', 'S', 'm')
    UNION ALL
    SELECT proname, COALESCE(proacl, acldefault('f', proowner)), proowner
    FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
) AS granted (object, acl, owner), aclexplode(acl)
WHERE grantee <> owner
"""
TABLES = "SELECT COUNT(*) FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'"


def test_nothing_in_the_schema_is_granted_to_other_roles(postgres_url: str, schema: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(OTHERS, {"schema": schema}).fetchall() == []
        count = connection.execute(TABLES, [schema]).fetchone()
    assert count is not None
    assert count[0] > 0
