-- Creates Grafana's role, which may only read chat_logs.
--
-- Run it after the migrations; it is idempotent:
--
--   CHAT_READER_PASSWORD=... psql --no-psqlrc --host db --username chat --dbname chat --file reader.sql
--
-- PostgreSQL's init folder is not suitable: its scripts run before chat_logs exists, and default privileges would apply
-- to all later tables. After a migration that recreates chat_logs, run this script again.

\set ON_ERROR_STOP on
\getenv password CHAT_READER_PASSWORD
\if :{?password}
\else
  DO $$ BEGIN RAISE 'CHAT_READER_PASSWORD is not set: choose one, and give it to Grafana too'; END $$;
\endif

BEGIN;

SELECT 'CREATE ROLE grafana_reader'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana_reader') \gexec

-- The limit prevents dashboards from using up the connections of the service.
ALTER ROLE grafana_reader LOGIN CONNECTION LIMIT 10 PASSWORD :'password';

-- The grants enforce read access. These defaults also reject writes early, and bound locks that delay migrations.
ALTER ROLE grafana_reader SET default_transaction_read_only = on;
ALTER ROLE grafana_reader SET statement_timeout = '10s';
ALTER ROLE grafana_reader SET idle_in_transaction_session_timeout = '10s';

GRANT USAGE ON SCHEMA public TO grafana_reader;
GRANT SELECT ON public.chat_logs TO grafana_reader;

COMMIT;
