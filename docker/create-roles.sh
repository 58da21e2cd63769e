#!/bin/sh
# Run once by the postgres image, on an empty data folder: the roles and the database of aTES.
# The owner's role is for migrations; the app's role owns nothing and is granted by migrations.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner_password ATES_OWNER_PASSWORD
\getenv app_password ATES_APP_PASSWORD
CREATE ROLE ates_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE ates_app LOGIN PASSWORD :'app_password';
GRANT ates_app TO ates_owner WITH INHERIT TRUE, SET TRUE;
CREATE DATABASE ates OWNER ates_owner;
REVOKE ALL ON DATABASE ates FROM PUBLIC;
GRANT CONNECT ON DATABASE ates TO ates_app;
SQL
