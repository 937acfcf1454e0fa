# The image of the service, and of the simulator and the migrations in docker-compose.yml. It runs with a read-only root
# file system, as any user that can write to OUTBOX_DIR, and starts no shell; `make image` tests this.

# The cheapest Python with wheels for all dependencies, by measurement: docs/performance.md
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.txt .
# Without pip, which is not needed at run time; wheels only, so that no compiler is needed.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --require-hashes --only-binary :all: --requirement requirements.txt
COPY alembic.ini ./
COPY migrations migrations
COPY app app
COPY deploy/gunicorn.conf.py deploy/
RUN python -m compileall -q app migrations && chmod -R a+rX /build /venv

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    APP_ENV=production \
    HOST=0.0.0.0 \
    METRICS_HOST=0.0.0.0 \
    OUTBOX_DIR=/var/lib/outbox
WORKDIR /srv
COPY --from=build /venv /venv
COPY --from=build /build/alembic.ini ./
COPY --from=build /build/migrations migrations
COPY --from=build /build/app app
COPY --from=build /build/deploy deploy
# Writable by the user and by group 0: platforms that assign a random user (OpenShift) assign group 0.
RUN mkdir -p /var/lib/outbox \
    && chown 10001:0 /var/lib/outbox \
    && chmod 770 /var/lib/outbox
USER 10001:10001
VOLUME /var/lib/outbox
EXPOSE 8000 9464
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-IS", "-c", "import http.client as h, os; \
c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=2); \
c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py"]
