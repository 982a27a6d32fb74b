"""The ledger's versions, for alembic: ``env.py`` connects, ``versions`` holds the steps.

Each step is SQL, one file per database, which alembic runs on a ledger that exists already; an
empty SQLite database gets the same files from the driver, without waiting for alembic's import.
"""
