-- The role that Grafana reads with: it sees chat_logs and no other table, and changes nothing.
--
-- A step of its own after the migrations, to be run as often as one likes:
--
--   CHAT_READER_PASSWORD=... psql --no-psqlrc --host db --username chat --dbname chat --file reader.sql
--
-- The image's init folder would not do: it is read once, when there is no chat_logs yet, and default privileges would
-- open every later table too. Whoever migrates a database from nothing runs this again.

\set ON_ERROR_STOP on
\getenv password CHAT_READER_PASSWORD
\if :{?password}
\else
  DO $$ BEGIN RAISE 'CHAT_READER_PASSWORD is not set: choose one, and give it to Grafana too'; END $$;
\endif

BEGIN;

SELECT 'CREATE ROLE grafana_reader'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana_reader') \gexec

-- A few connections, so that a busy wall of dashboards cannot take those of the service.
ALTER ROLE grafana_reader LOGIN CONNECTION LIMIT 10 PASSWORD :'password';

-- The grants are the fence. These keep honest queries honest: none writes, none holds a migration up for long.
ALTER ROLE grafana_reader SET default_transaction_read_only = on;
ALTER ROLE grafana_reader SET statement_timeout = '10s';
ALTER ROLE grafana_reader SET idle_in_transaction_session_timeout = '10s';

GRANT USAGE ON SCHEMA public TO grafana_reader;
GRANT SELECT ON public.chat_logs TO grafana_reader;

COMMIT;
