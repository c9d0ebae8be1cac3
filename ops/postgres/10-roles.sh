#!/usr/bin/env bash
# The roles and the database, once, when the volume is new. The passwords are those of the addresses in ./secrets.
set -euo pipefail
password() { sed -E 's#^[a-z]+://[^:]+:([^@]+)@.*#\1#' "/run/secrets/$1"; }
psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 \
    --set owner="$(password database_owner_url)" --set writer="$(password database_url)" \
    --set reader="$(password database_reader_url)" <<'SQL'
create role tidemark_owner login password :'owner';
create role tidemark_writer login password :'writer';
create role tidemark_reader login password :'reader';
create database tidemark owner tidemark_owner encoding 'UTF8' template template0;
SQL
