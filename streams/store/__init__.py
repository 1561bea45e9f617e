"""The store, on SQLite and PostgreSQL: `sql.SqlStore` commits, `writing` writes, `queries` reads, `lease` says who may."""
