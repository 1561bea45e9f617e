"""The store: `sql.SqlStore` commits, `writing` writes, `queries` reads, `lease` says who may; SQLite or PostgreSQL."""
