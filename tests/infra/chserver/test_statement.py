"""What is found in a statement's text."""

import pytest

from infra.chserver.statement import Insert, is_query, parse_insert, split_format


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t VALUES", Insert("t", format="Values")),
        ("insert into db.t values", Insert("db.t", format="Values")),
        ('INSERT INTO `a b`."c(d" (x, y) VALUES ', Insert('`a b`."c(d"', columns="(x, y)", format="Values")),
        ("INSERT INTO TABLE t (`x)`) FORMAT Native", Insert("t", columns="(`x)`)", format="Native")),
        ("/* c */ INSERT -- note\n INTO t(* EXCEPT(b)) VALUES;", Insert("t", columns="(* EXCEPT(b))", format="Values")),
        ("INSERT INTO t", Insert("t")),
        ("INSERT INTO t;", Insert("t")),
        (
            "INSERT INTO t SETTINGS a = 1, b = 'VALUES (' VALUES",
            Insert("t", settings="a = 1, b = 'VALUES ('", format="Values"),
        ),
        ("INSERT INTO t VALUES (1, 'FORMAT x');", Insert("t", format="Values", inline=" (1, 'FORMAT x');")),
        ("INSERT INTO t FORMAT CSV\n1,2\n", Insert("t", format="CSV", inline="1,2\n")),
        ("INSERT INTO t FORMAT TSV 1\t2", Insert("t", format="TSV", inline="1\t2")),
        (
            "INSERT INTO FUNCTION file('a.csv', 'CSV', 'x Int8') VALUES",
            Insert("file('a.csv', 'CSV', 'x Int8')", is_function=True, format="Values"),
        ),
    ],
)
def test_inserts(sql: str, expected: Insert) -> None:
    assert parse_insert(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) SELECT 1",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t ((SELECT 1))",
        "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO t SETTINGS a = 1 SELECT 1",
        "INSERT INTO t (a, b",
        "INSERT INTO",
        "INSERT",
        "-- INSERT INTO t VALUES",
        "",
        "EXPLAIN INSERT INTO t VALUES",
    ],
)
def test_what_is_no_insert_of_rows(sql: str) -> None:
    assert parse_insert(sql) is None


def test_the_statement_that_reads_a_file() -> None:
    insert = parse_insert("INSERT INTO d.t (a, b) SETTINGS x = 1 FORMAT CSV")
    assert insert is not None
    assert insert.from_file("/f", "CSV") == "INSERT INTO d.t (a, b) FROM INFILE '/f' SETTINGS x = 1 FORMAT CSV"
    assert insert.relation == "(SELECT a, b FROM d.t)"
    assert Insert("f(1)", is_function=True).from_file("/f", "Native").startswith("INSERT INTO FUNCTION f(1)  FROM INFILE")
    assert Insert("f(1)", is_function=True).relation == "(SELECT * FROM f(1))"


@pytest.mark.parametrize(
    ("sql", "rest", "name"),
    [
        ("SELECT 1", "SELECT 1", ""),
        ("SELECT 1 FORMAT JSON", "SELECT 1 ", "JSON"),
        ("SELECT 1 format\nJSON ;", "SELECT 1  ;", "JSON"),
        ("SELECT 1 FORMAT JSON SETTINGS a = 1", "SELECT 1  SETTINGS a = 1", "JSON"),
        ("SELECT ' FORMAT JSON'", "SELECT ' FORMAT JSON'", ""),
        ("SELECT 1 -- FORMAT JSON", "SELECT 1 -- FORMAT JSON", ""),
        ("SELECT format FROM t", "SELECT format FROM t", ""),
        ("SELECT (SELECT 1 FORMAT x) AS y", "SELECT (SELECT 1 FORMAT x) AS y", ""),
        ("SELECT $$ FORMAT JSON $$ FORMAT CSV", "SELECT $$ FORMAT JSON $$ ", "CSV"),
    ],
)
def test_formats(sql: str, rest: str, name: str) -> None:
    assert split_format(sql) == (rest, name)


def test_queries() -> None:
    for sql in (
        "SELECT 1",
        " /* x */ (select 1) UNION ALL (SELECT 2)",
        "WITH 1 AS a SELECT a",
        "FROM t SELECT a",
        "((SELECT 1))",
    ):
        assert is_query(sql)
    for sql in ("SHOW TABLES", "EXPLAIN SELECT 1", "", "'SELECT'", "`SELECT`", "CREATE TABLE t AS SELECT 1"):
        assert not is_query(sql)
