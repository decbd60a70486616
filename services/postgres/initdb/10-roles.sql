-- Read once, when the volume is new. Passwords are set by hand afterwards, and kept in AWS SSM:
--   docker compose exec postgres psql -U postgres -c '\password app'
CREATE ROLE app LOGIN;
CREATE DATABASE app OWNER app;

CREATE ROLE metrics LOGIN;
GRANT pg_monitor TO metrics;
