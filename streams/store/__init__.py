"""The store, on SQLite and PostgreSQL: `sql.SqlStore` writes, `queries` reads, `lease` says who may write."""
