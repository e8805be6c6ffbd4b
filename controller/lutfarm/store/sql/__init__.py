"""The store in a relational database; the only place that imports sqlalchemy and alembic."""
