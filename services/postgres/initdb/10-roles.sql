-- Read once, when the volume is new. Set passwords by hand afterwards, and keep them in AWS SSM:
--   docker compose exec postgres psql -U postgres -c '\password app'
CREATE ROLE app LOGIN;
CREATE DATABASE app OWNER app;

CREATE ROLE metrics LOGIN;
GRANT pg_monitor TO metrics;
