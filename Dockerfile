# The app alone: PostgreSQL and Valkey are services of their own (docker-compose.yml).

FROM node:22-slim AS assets
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM python:3.13-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt /src/
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --require-hashes --no-deps -r /src/requirements.txt

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin ates \
    && install -d -o ates -g ates -m 0700 /data
WORKDIR /app
COPY --from=packages /venv /venv
COPY . .
COPY --from=assets /src/node_modules/htmx.org/dist/htmx.min.js static/vendor/htmx.min.js
# Byte code and translations are made here, since the app cannot write to its own folder.
RUN /venv/bin/python -m compileall -q app \
    && if [ -d translations ]; then /venv/bin/pybabel compile -d translations; fi
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TZ=UTC ATES_DATA=/data
USER ates
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "docker/is_ready.py"]
CMD ["gunicorn", "web:app", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", \
     "--workers", "2", "--threads", "8", "--graceful-timeout", "8", "--no-control-socket", \
     "--worker-tmp-dir", "/dev/shm"]
